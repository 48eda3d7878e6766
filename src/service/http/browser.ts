// src/service/http/browser.ts: a client as a browser is one: names, redirects, cookies, forms, kept connections, gzip.

import { formatIpv4, parseIpv4 } from "../../core/address.ts";
import type { HttpField } from "../../core/http.ts";
import { log, type ProgramHost } from "../program.ts";
import type { Connector } from "../stream.ts";
import { type ClientOptions, type ClientRequest, HttpClient, type Timing } from "./client.ts";
import { CookieJar } from "./cookies.ts";
import { field, fieldList, toBytes } from "./message.ts";

/** Finds addresses of names: a `Stub` (src/service/dns/stub.ts) is one. */
export interface NameLookup {
  resolve4(name: string, callback: (error: Error | null, addresses: readonly string[]) => void): void;
}

/** gzip, from where it is: `node:zlib`, or a browser's CompressionStream. Calls back at the same instant of virtual time. */
export interface Codec {
  gzip(bytes: Uint8Array, done: (bytes: Uint8Array) => void): void;
  gunzip(bytes: Uint8Array, done: (bytes: Uint8Array | null) => void): void;
}

export interface BrowserOptions extends ClientOptions {
  readonly names: NameLookup;
  /** https; without it such URLs are refused. */
  readonly secure?: Connector;
  readonly codec?: Codec;
  readonly userAgent?: string;
  /** Redirects in a row (fetch's). */
  readonly redirects?: number;
}

export interface Visit {
  readonly method?: string;
  /** Sent as application/x-www-form-urlencoded; the method is POST then, unless it is given. */
  readonly form?: Readonly<Record<string, string>>;
  /** Sent as application/json; as `form`. */
  readonly json?: unknown;
  readonly headers?: readonly HttpField[];
}

/** One request of a visit. */
export interface Step {
  readonly url: string;
  readonly method: string;
  /** 0 when there was no answer. */
  readonly status: number;
  readonly address: string;
  readonly reused: boolean;
  /** Virtual time that the lookup took. */
  readonly lookup: number;
  readonly timing: Timing;
}

export interface Page {
  /** Where the redirects ended. */
  readonly url: string;
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly HttpField[];
  /** Decoded. */
  readonly body: Uint8Array;
  readonly steps: readonly Step[];
}

/** What a browser shows when there is no page. */
export interface BrowserFailure {
  /** In Chromium's words: `ERR_NAME_NOT_RESOLVED`, `ERR_CONNECTION_REFUSED` ... */
  readonly error: string;
  /** The cause: an errno's name or a resolver's (`ENOTFOUND`). */
  readonly code: string;
  readonly url: string;
  readonly steps: readonly Step[];
}

export type Shown = (failure: BrowserFailure | null, page: Page | null) => void;

const errors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "ERR_CONNECTION_REFUSED",
  ECONNRESET: "ERR_CONNECTION_RESET",
  EPIPE: "ERR_CONNECTION_RESET",
  ETIMEDOUT: "ERR_CONNECTION_TIMED_OUT",
  ETIMEOUT: "ERR_TIMED_OUT",
  EHOSTUNREACH: "ERR_ADDRESS_UNREACHABLE",
  ENETUNREACH: "ERR_INTERNET_DISCONNECTED",
  EBADRESPONSE: "ERR_INVALID_HTTP_RESPONSE",
  ENOTFOUND: "ERR_NAME_NOT_RESOLVED",
  ENODATA: "ERR_NAME_NOT_RESOLVED",
};

const ports: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };
const DEFAULT_AGENT = "wirepath";
const REDIRECTS = 20;

export class Browser {
  readonly client: HttpClient;
  readonly cookies = new CookieJar();

  constructor(
    readonly host: ProgramHost,
    readonly options: BrowserOptions,
  ) {
    this.client = new HttpClient(host, options);
  }

  /** Opens a URL. `shown` hears once. Throws for what is no URL of http or https. */
  open(url: string, visit: Visit, shown: Shown): void {
    const at = readUrl(url);
    const headers: HttpField[] = [...(visit.headers ?? [])];
    let body: Uint8Array | undefined;
    if (visit.form !== undefined) {
      headers.push(["Content-Type", "application/x-www-form-urlencoded"]);
      body = toBytes(new URLSearchParams(visit.form).toString());
    } else if (visit.json !== undefined) {
      headers.push(["Content-Type", "application/json"]);
      body = toBytes(JSON.stringify(visit.json));
    }
    const method = visit.method ?? (body === undefined ? "GET" : "POST");
    new Opening(this, shown).go(at, method, headers, body);
  }

  close(): void {
    this.client.close();
  }
}

/** An absolute URL; a bare name is http's. @throws Error */
export function readUrl(text: string): URL {
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  let url: URL;
  try {
    url = new URL(whole);
  } catch {
    throw new Error(`'${text}' is no URL, expected http://NAME[:PORT]/PATH`);
  }
  if (ports[url.protocol] === undefined) throw new Error(`'${text}': expected http or https, not ${url.protocol}`);
  return url;
}

class Opening {
  private readonly steps: Step[] = [];

  constructor(
    private readonly browser: Browser,
    private readonly shown: Shown,
  ) {}

  go(url: URL, method: string, headers: readonly HttpField[], body: Uint8Array | undefined): void {
    const { host, options } = this.browser;
    const begun = host.world.clock.now;
    if (url.protocol === "https:" && options.secure === undefined) {
      return this.fail(url, "ENOTSUP", "ERR_DISALLOWED_URL_SCHEME");
    }
    log(host, "browser", () => `opens ${url.href}${method === "GET" ? "" : ` (${method})`}`);
    const name = url.hostname;
    const known = parseIpv4(name);
    if (known !== null) return this.ask(url, method, headers, body, [known], begun);
    options.names.resolve4(name, (error, addresses) => {
      const found = addresses.map(parseIpv4).filter((a) => a !== null);
      if (error === null && found.length > 0) return this.ask(url, method, headers, body, found, begun);
      const code = (error as { code?: string } | null)?.code ?? "ENODATA";
      this.fail(url, code, "ERR_NAME_NOT_RESOLVED");
    });
  }

  private ask(
    url: URL,
    method: string,
    given: readonly HttpField[],
    body: Uint8Array | undefined,
    addresses: readonly number[],
    begun: number,
  ): void {
    const { browser } = this;
    const { host, options, cookies, client } = browser;
    const { clock } = host.world;
    const port = url.port === "" ? ports[url.protocol]! : Number(url.port);
    const headers: HttpField[] = [
      ["Host", url.host],
      ["User-Agent", options.userAgent ?? DEFAULT_AGENT],
      ["Accept", "text/html,application/xhtml+xml,*/*;q=0.8"],
    ];
    if (options.codec !== undefined) headers.push(["Accept-Encoding", "gzip"]);
    headers.push(["Connection", "keep-alive"], ...given);
    const crumbs = cookies.give(url, this.now());
    if (crumbs !== "") headers.push(["Cookie", crumbs]);
    const request: ClientRequest = {
      method,
      target: `${url.pathname}${url.search}`,
      headers,
      ...(body === undefined ? {} : { body }),
    };
    const lookup = clock.now - begun;
    const [address, ...others] = addresses;
    const connect = url.protocol === "https:" ? options.secure! : undefined;
    const origin = { address: address!, port, name: url.hostname, ...(connect === undefined ? {} : { connect }) };
    client.request(origin, request, (failure, response, timing) => {
      const step: Step = {
        url: url.href,
        method,
        status: response?.status ?? 0,
        address: `${formatIpv4(address!)}:${port}`,
        reused: response?.reused ?? false,
        lookup,
        timing,
      };
      this.steps.push(step);
      if (failure !== null) {
        log(host, "browser", () => `${formatIpv4(address!)}:${port}: ${failure.code}, ${failure.what}`);
        // a name's next address, as long as nothing was sent
        if (!failure.connected && others.length > 0) return this.ask(url, method, given, body, others, begun);
        return this.fail(url, failure.code, errors[failure.code] ?? "ERR_FAILED", timing.firstByte);
      }
      for (const [n, v] of response!.headers) if (n.toLowerCase() === "set-cookie") cookies.take(v, url, this.now());
      const to = field(response!.headers, "location");
      if (isRedirect(response!.status) && to !== null)
        return this.follow(url, to, response!.status, method, given, body);
      this.decode(url, response!.headers, response!.body, (decoded) => {
        if (decoded === null) return this.fail(url, "EBADRESPONSE", "ERR_CONTENT_DECODING_FAILED");
        const { status, reason } = response!;
        log(host, "browser", () => `shows ${url.href}: ${status} ${reason}, ${decoded.length} bytes`);
        this.shown(null, {
          url: url.href,
          status,
          reason,
          headers: response!.headers,
          body: decoded,
          steps: this.steps,
        });
      });
    });
  }

  private follow(
    from: URL,
    to: string,
    status: number,
    method: string,
    headers: readonly HttpField[],
    body: Uint8Array | undefined,
  ): void {
    if (this.steps.length > (this.browser.options.redirects ?? REDIRECTS)) {
      return this.fail(from, "EREDIRECTS", "ERR_TOO_MANY_REDIRECTS");
    }
    let url: URL;
    try {
      url = new URL(to, from);
      if (ports[url.protocol] === undefined) throw new Error("scheme");
    } catch {
      return this.fail(from, "EBADRESPONSE", "ERR_INVALID_REDIRECT");
    }
    url.hash = "";
    // RFC 9110 §15.4: 303 turns to GET; so do, by custom, 301 and 302 after POST
    const get = (status === 303 && method !== "HEAD") || ((status === 301 || status === 302) && method === "POST");
    const kept = get ? headers.filter(([n]) => n.toLowerCase() !== "content-type") : headers;
    // what was meant for one origin is not told another
    const safe = url.origin === from.origin ? kept : kept.filter(([n]) => !/^(authorization|cookie)$/i.test(n));
    this.go(url, get ? "GET" : method, safe, get ? undefined : body);
  }

  private decode(
    _url: URL,
    headers: readonly HttpField[],
    body: Uint8Array,
    done: (body: Uint8Array | null) => void,
  ): void {
    const codings = fieldList(headers, "content-encoding").map((c) => c.toLowerCase());
    if (codings.length === 0 || body.length === 0 || codings.every((c) => c === "identity")) return done(body);
    const { codec } = this.browser.options;
    if (codings.length > 1 || codec === undefined || !/^(x-)?gzip$/.test(codings[0]!)) return done(null);
    codec.gunzip(body, done);
  }

  private now(): number {
    const { world } = this.browser.host;
    return Number(world.epoch) + world.clock.now;
  }

  private fail(url: URL, code: string, error: string, firstByte = -1): void {
    const { host } = this.browser;
    const shown = code === "ECONNRESET" && firstByte < 0 ? "ERR_CONNECTION_RESET" : error;
    log(host, "browser", () => `cannot show ${url.href}: ${shown} (${code})`);
    this.shown({ error: shown, code, url: url.href, steps: this.steps }, null);
  }
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}
