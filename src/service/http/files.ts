// src/service/http/files.ts: a web server for files: what a path holds, its type, its age (RFC 9110 §8, §13, §14).

import { crc32Text } from "./etag.ts";
import {
  field,
  fieldList,
  httpDate,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  toBytes,
} from "./message.ts";

export interface WebFile {
  readonly body: Uint8Array;
  readonly type: string;
  readonly etag: string;
  /** Nanoseconds since 1970. */
  readonly modified: bigint;
}

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  txt: "text/plain; charset=utf-8",
  svg: "image/svg+xml",
  png: "image/png",
  jpg: "image/jpeg",
  ico: "image/x-icon",
  wasm: "application/wasm",
};

export class StaticFiles {
  private readonly files = new Map<string, WebFile>();

  /** Paths begin with a slash. */
  constructor(files: Iterable<readonly [path: string, body: Uint8Array | string]>, modified = 0n) {
    for (const [path, content] of files) {
      const body = toBytes(content);
      const ending = /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? "";
      const type = path.endsWith("/") ? types["html"]! : (types[ending] ?? "application/octet-stream");
      this.files.set(path, { body, type, etag: `"${crc32Text(body)}"`, modified });
    }
  }

  find(path: string): WebFile | null {
    return this.files.get(path) ?? (path.endsWith("/") ? (this.files.get(`${path}index.html`) ?? null) : null);
  }

  readonly handler: HttpHandler = (request, reply) => reply(this.answer(request));

  answer(request: HttpRequest): HttpResponse {
    const { method, headers } = request;
    const path = pathOf(request.target);
    if (path === null) return plain(400, "Bad Request\n");
    if (method !== "GET" && method !== "HEAD") {
      return { ...plain(405, "Method Not Allowed\n"), headers: [["Allow", "GET, HEAD"]] };
    }
    const file = this.find(path);
    if (file === null) {
      // a directory without its slash
      if (this.find(`${path}/`) !== null) return { status: 301, headers: [["Location", `${path}/`]] };
      return plain(404, "Not Found\n");
    }
    const about = [
      ["ETag", file.etag],
      ["Last-Modified", httpDate(file.modified)],
    ] as const;
    // RFC 9110 §13.2.2: If-None-Match goes before If-Modified-Since
    const tags = field(headers, "if-none-match");
    const since = field(headers, "if-modified-since");
    const fresh =
      tags !== null
        ? tags.trim() === "*" || fieldList(headers, "if-none-match").some((t) => t.replace(/^W\//, "") === file.etag)
        : since !== null && Date.parse(since) >= Number(file.modified / 1_000_000_000n) * 1000;
    if (fresh) return { status: 304, headers: about };
    const range = method === "GET" ? rangeOf(field(headers, "range"), file.body.length) : null;
    const head = [["Content-Type", file.type], ["Accept-Ranges", "bytes"], ...about] as const;
    if (range === "none") {
      return { ...plain(416, "Range Not Satisfiable\n"), headers: [["Content-Range", `bytes */${file.body.length}`]] };
    }
    if (range === null) return { status: 200, headers: head, body: file.body };
    const [from, to] = range;
    const shown = ["Content-Range", `bytes ${from}-${to}/${file.body.length}`] as const;
    return { status: 206, headers: [...head, shown], body: file.body.subarray(from, to + 1) };
  }
}

/** The path of a target, decoded, without `.` and `..`; null when it is none. */
export function pathOf(target: string): string | null {
  let path = target.replace(/[?#].*$/s, "");
  const absolute = /^https?:\/\/[^/]*(\/.*)?$/i.exec(path);
  if (absolute !== null) path = absolute[1] ?? "/";
  if (!path.startsWith("/")) return null;
  try {
    path = decodeURIComponent(path);
  } catch {
    return null;
  }
  if (path.includes("\0")) return null;
  const out: string[] = [];
  const parts = path.split("/").slice(1);
  for (const [i, part] of parts.entries()) {
    const last = i === parts.length - 1;
    if (part === "..") {
      if (out.length === 0) return null;
      out.pop();
    } else if (part !== "." && part !== "") out.push(part);
    if (last && (part === "" || part === "." || part === "..")) out.push("");
  }
  return `/${out.join("/")}`;
}

/** One range of bytes (RFC 9110 §14.1.2): first and last; "none" outside of the file; null: all of it. */
function rangeOf(text: string | null, length: number): readonly [number, number] | "none" | null {
  const m = text === null ? null : /^bytes=(\d{0,15})-(\d{0,15})$/.exec(text.trim());
  // several ranges, other units: the whole file is a right answer
  if (m === null || (m[1] === "" && m[2] === "")) return null;
  if (m[1] === "") {
    const n = Number(m[2]);
    return n === 0 || length === 0 ? "none" : [Math.max(0, length - n), length - 1];
  }
  const from = Number(m[1]);
  if (from >= length) return "none";
  const to = m[2] === "" ? length - 1 : Math.min(Number(m[2]), length - 1);
  return to < from ? null : [from, to];
}

export function plain(status: number, body: string): HttpResponse {
  return { status, headers: [["Content-Type", "text/plain; charset=utf-8"]], body };
}
