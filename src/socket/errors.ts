// src/socket/errors.ts: errors as Node's own: `code`, `errno`, `syscall`, `address`, `port`, and the message.

import type { Errno } from "../transport/errno.ts";

/** What libuv says of Linux's errno (uv_strerror), and its number. */
const TABLE: Record<string, readonly [number, string]> = {
  EACCES: [13, "permission denied"],
  EADDRINUSE: [98, "address already in use"],
  EADDRNOTAVAIL: [99, "address not available"],
  EAFNOSUPPORT: [97, "address family not supported"],
  EAGAIN: [11, "resource temporarily unavailable"],
  EALREADY: [114, "connection already in progress"],
  EBADF: [9, "bad file descriptor"],
  ECANCELED: [125, "operation canceled"],
  ECONNABORTED: [103, "software caused connection abort"],
  ECONNREFUSED: [111, "connection refused"],
  ECONNRESET: [104, "connection reset by peer"],
  EDESTADDRREQ: [89, "destination address required"],
  EHOSTUNREACH: [113, "host is unreachable"],
  EINPROGRESS: [115, "operation now in progress"],
  EINVAL: [22, "invalid argument"],
  EISCONN: [106, "socket is already connected"],
  EMSGSIZE: [90, "message too long"],
  ENETUNREACH: [101, "network is unreachable"],
  ENOBUFS: [105, "no buffer space available"],
  ENOPROTOOPT: [92, "protocol not available"],
  ENOTCONN: [107, "socket is not connected"],
  EOPNOTSUPP: [95, "operation not supported on socket"],
  EPIPE: [32, "broken pipe"],
  EPROTO: [71, "protocol error"],
  ETIMEDOUT: [110, "connection timed out"],
};

/** An errno, or the one that only libuv has. */
export type Code = Errno | "ECANCELED";

/** The fields that Node sets on errors of the system. */
export interface SystemError extends Error {
  errno?: number;
  code?: string;
  syscall?: string;
  address?: string;
  port?: number;
  hostname?: string;
  localAddress?: string;
  localPort?: number;
}

/** libuv's number: the errno, negative. */
export function uvNumber(code: Code): number {
  return -(TABLE[code]?.[0] ?? 4094);
}

/** Node's ErrnoException: `read ECONNRESET`. */
export function errnoError(code: Code, syscall: string): SystemError {
  const e: SystemError = new Error(`${syscall} ${code}`);
  e.errno = uvNumber(code);
  e.code = code;
  e.syscall = syscall;
  return e;
}

/** Node's ExceptionWithHostPort: `connect ECONNREFUSED 10.0.0.2:80 - Local (10.0.0.1:4000)`. */
export function hostPortError(
  code: Code,
  syscall: string,
  address?: string | null,
  port?: number | null,
  local?: string,
): SystemError {
  let details = port && port > 0 ? ` ${address}:${port}` : address ? ` ${address}` : "";
  if (local) details += ` - Local (${local})`;
  return withAddress(new Error(`${syscall} ${code}${details}`), code, syscall, address, port);
}

/** Node's UVExceptionWithHostPort: `listen EADDRINUSE: address already in use 10.0.0.2:80`. */
export function listenError(code: Code, address: string | null, port: number): SystemError {
  const details = port > 0 ? ` ${address}:${port}` : address ? ` ${address}` : "";
  const e = new Error(`listen ${code}: ${TABLE[code]?.[1] ?? "unknown error"}${details}`);
  return withAddress(e, code, "listen", address, port);
}

function withAddress(
  e: SystemError,
  code: Code,
  syscall: string,
  address?: string | null,
  port?: number | null,
): SystemError {
  // the order in which Node sets them is what console.log shows
  e.errno = uvNumber(code);
  e.code = code;
  e.syscall = syscall;
  e.address = address as string;
  if (port) e.port = port;
  return e;
}

/** Node's DNSException for getaddrinfo(3): `getaddrinfo ENOTFOUND example.org`. */
export function lookupError(code: "ENOTFOUND" | "EAI_AGAIN", hostname: string): SystemError {
  const e: SystemError = new Error(`getaddrinfo ${code} ${hostname}`);
  e.errno = code === "ENOTFOUND" ? -3008 : -3001;
  e.code = code;
  e.syscall = "getaddrinfo";
  e.hostname = hostname;
  return e;
}

// -- errors of the programmer: Node's ERR_*

type Base = new (message: string) => Error;

const MESSAGES: Record<string, readonly [string, Base?]> = {
  ERR_SERVER_ALREADY_LISTEN: ["Listen method has been called more than once without closing."],
  ERR_SERVER_NOT_RUNNING: ["Server is not running."],
  ERR_SOCKET_ALREADY_BOUND: ["Socket is already bound"],
  ERR_SOCKET_BAD_BUFFER_SIZE: ["Buffer size must be a positive integer", TypeError],
  ERR_SOCKET_BAD_TYPE: ["Bad socket type specified. Valid types are: udp4, udp6", TypeError],
  ERR_SOCKET_CLOSED: ["Socket is closed"],
  ERR_SOCKET_CLOSED_BEFORE_CONNECTION: ["Socket closed before the connection was established"],
  ERR_SOCKET_CONNECTION_TIMEOUT: ["Socket connection timeout"],
  ERR_SOCKET_DGRAM_IS_CONNECTED: ["Already connected"],
  ERR_SOCKET_DGRAM_NOT_CONNECTED: ["Not connected"],
  ERR_SOCKET_DGRAM_NOT_RUNNING: ["Not running"],
};

/** An error with a code of Node's; its stack begins with `TypeError [ERR_X]:`, as Node's does. */
export function nodeError(code: string, message: string = MESSAGES[code]![0], base?: Base): Error & { code: string } {
  const Type = base ?? MESSAGES[code]?.[1] ?? Error;
  const e = new Type(message) as Error & { code: string };
  if (e.stack !== undefined) e.stack = e.stack.replace(e.name, `${e.name} [${code}]`);
  e.code = code;
  Object.defineProperty(e, "toString", {
    value: () => `${e.name} [${code}]: ${e.message}`,
    configurable: true,
    writable: true,
    enumerable: false,
  });
  return e;
}

/** What an AbortSignal does: Node's AbortError. */
export function abortError(cause: unknown): Error {
  const e = new Error("The operation was aborted", { cause });
  Object.defineProperty(e, "name", { value: "AbortError", configurable: true, writable: true });
  return Object.assign(e, { code: "ABORT_ERR" });
}

/** What Node says that it got. */
export function received(value: unknown): string {
  if (value === null) return "null";
  switch (typeof value) {
    case "undefined":
      return "undefined";
    case "function":
      return `function ${value.name}`;
    case "object": {
      const of = (value as object).constructor;
      return of ? `an instance of ${of.name}` : "[Object: null prototype] {}";
    }
    case "string": {
      const text = value.length > 28 ? `${value.slice(0, 25)}...` : value;
      return text.includes("'") ? `type string (${JSON.stringify(text)})` : `type string ('${text}')`;
    }
    case "number":
      return `type number (${Object.is(value, -0) ? "-0" : value})`;
    case "bigint":
      return `type bigint (${value}n)`;
    default:
      return `type ${typeof value} (${String(value)})`;
  }
}

/** ERR_INVALID_ARG_TYPE; `expected` in Node's words: `of type number`, `an instance of AbortSignal`. */
export function argType(name: string, expected: string, value: unknown): Error {
  const what = name.endsWith(" argument") ? name : `"${name}" ${name.includes(".") ? "property" : "argument"}`;
  return nodeError("ERR_INVALID_ARG_TYPE", `The ${what} must be ${expected}. Received ${received(value)}`, TypeError);
}

/** ERR_INVALID_ARG_VALUE; `shown` is the value as util.inspect shows it. */
export function argValue(name: string, shown: string, reason = "is invalid"): Error {
  const type = name.includes(".") ? "property" : "argument";
  const text = shown.length > 128 ? `${shown.slice(0, 128)}...` : shown;
  return nodeError("ERR_INVALID_ARG_VALUE", `The ${type} '${name}' ${reason}. Received ${text}`, TypeError);
}

export function outOfRange(name: string, range: string, value: unknown): Error {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${String(value)}`;
  return nodeError("ERR_OUT_OF_RANGE", message, RangeError);
}

/** Port as a number; throws ERR_SOCKET_BAD_PORT as Node's validatePort. */
export function checkPort(port: unknown, name = "Port", allowZero = true): number {
  const good =
    (typeof port === "number" || (typeof port === "string" && port.trim().length > 0)) &&
    Number(port) === Number(port) >>> 0 &&
    Number(port) <= 0xffff &&
    !(port === 0 && !allowZero);
  if (good) return Number(port) | 0;
  const operator = allowZero ? ">=" : ">";
  const message = `${name} should be ${operator} 0 and < 65536. Received ${received(port)}.`;
  throw nodeError("ERR_SOCKET_BAD_PORT", message, RangeError);
}

export function checkNumber(value: unknown, name: string): void {
  if (typeof value !== "number") throw argType(name, "of type number", value);
}

export function checkString(value: unknown, name: string): void {
  if (typeof value !== "string") throw argType(name, "of type string", value);
}

export function checkFunction(value: unknown, name: string): void {
  if (typeof value !== "function") throw argType(name, "of type function", value);
}

export function checkBoolean(value: unknown, name: string): void {
  if (typeof value !== "boolean") throw argType(name, "of type boolean", value);
}

export function checkSignal(signal: unknown, name: string): void {
  if (signal !== undefined && (signal === null || typeof signal !== "object" || !("aborted" in signal))) {
    throw argType(name, "an instance of AbortSignal", signal);
  }
}

/** The longest that timers.setTimeout waits. */
const LONGEST = 2 ** 31 - 1;

/** Milliseconds for a timer (timers' getTimerDuration). */
export function checkDuration(ms: unknown, name: string): number {
  checkNumber(ms, name);
  const n = ms as number;
  if (n < 0 || !Number.isFinite(n)) throw outOfRange(name, "a non-negative finite number", n);
  return Math.min(n, LONGEST);
}
