// src/service/http/message.ts: requests and responses as programs exchange them (RFC 9110).

import type { HttpField } from "../../core/http.ts";

export interface HttpRequest {
  readonly method: string;
  /** As it was sent: origin form, or any other of RFC 9112 §3.2. */
  readonly target: string;
  readonly headers: readonly HttpField[];
  readonly body: Uint8Array;
  /** Who asks, and where it was asked; addresses in host order. */
  readonly client: { readonly address: number; readonly port: number };
  readonly local: { readonly address: number; readonly port: number };
}

export interface HttpResponse {
  readonly status: number;
  /** Default: the status code's own (RFC 9110 §15). */
  readonly reason?: string;
  /** Content-Length and Connection are the server's to add. */
  readonly headers?: readonly HttpField[];
  readonly body?: Uint8Array | string;
}

/** Answers a request, now or later, once. */
export type HttpHandler = (request: HttpRequest, reply: (response: HttpResponse) => void) => void;

const reasons = new Map<number, string>([
  [100, "Continue"],
  [101, "Switching Protocols"],
  [200, "OK"],
  [201, "Created"],
  [202, "Accepted"],
  [204, "No Content"],
  [206, "Partial Content"],
  [301, "Moved Permanently"],
  [302, "Found"],
  [303, "See Other"],
  [304, "Not Modified"],
  [307, "Temporary Redirect"],
  [308, "Permanent Redirect"],
  [400, "Bad Request"],
  [401, "Unauthorized"],
  [403, "Forbidden"],
  [404, "Not Found"],
  [405, "Method Not Allowed"],
  [408, "Request Timeout"],
  [409, "Conflict"],
  [411, "Length Required"],
  [412, "Precondition Failed"],
  [413, "Content Too Large"],
  [414, "URI Too Long"],
  [415, "Unsupported Media Type"],
  [416, "Range Not Satisfiable"],
  [421, "Misdirected Request"],
  [422, "Unprocessable Content"],
  [426, "Upgrade Required"],
  [429, "Too Many Requests"],
  [431, "Request Header Fields Too Large"],
  [500, "Internal Server Error"],
  [501, "Not Implemented"],
  [502, "Bad Gateway"],
  [503, "Service Unavailable"],
  [504, "Gateway Timeout"],
  [505, "HTTP Version Not Supported"],
]);

export function reasonOf(status: number): string {
  return reasons.get(status) ?? "";
}

/** The first field of that name; null when there is none. Names have no case. */
export function field(headers: readonly HttpField[], name: string): string | null {
  const wanted = name.toLowerCase();
  for (const [n, value] of headers) if (n.toLowerCase() === wanted) return value;
  return null;
}

/** All fields of that name as one list (RFC 9110 §5.3). */
export function fieldList(headers: readonly HttpField[], name: string): string[] {
  const wanted = name.toLowerCase();
  const all = headers.filter(([n]) => n.toLowerCase() === wanted).flatMap(([, value]) => value.split(","));
  return all.map((s) => s.trim()).filter((s) => s !== "");
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function toBytes(body: Uint8Array | string | undefined): Uint8Array {
  if (body === undefined) return new Uint8Array(0);
  return typeof body === "string" ? encoder.encode(body) : body;
}

export function toText(body: Uint8Array): string {
  return decoder.decode(body);
}

export function joined(parts: readonly Uint8Array[], length = parts.reduce((n, p) => n + p.length, 0)): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(length);
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}

const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** IMF-fixdate (RFC 9110 §5.6.7) of an instant in nanoseconds since 1970. */
export function httpDate(ns: bigint): string {
  const d = new Date(Number(ns / 1_000_000n));
  const two = (n: number): string => String(n).padStart(2, "0");
  const date = `${days[d.getUTCDay()]}, ${two(d.getUTCDate())} ${months[d.getUTCMonth()]} ${d.getUTCFullYear()}`;
  return `${date} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())} GMT`;
}
