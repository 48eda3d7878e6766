// src/socket/connect.ts: from the options of net.connect to a connection: names looked up, addresses tried one by one.

import { MS } from "../link/clock.ts";
import { isIP, unmapped } from "./addresses.ts";
import {
  type Code,
  argType,
  checkBoolean,
  checkFunction,
  checkNumber,
  checkPort,
  hostPortError,
  nodeError,
  outOfRange,
  type SystemError,
} from "./errors.ts";
import type { Lookup, LookupAddress } from "./dns.ts";
import { ipv4, type Socket } from "./socket.ts";
import { TcpHandle } from "./handle.ts";

export interface ConnectOptions {
  port?: number | string;
  host?: string;
  path?: string | null;
  localAddress?: string;
  localPort?: number;
  family?: number | string;
  hints?: number;
  lookup?: Lookup;
  autoSelectFamily?: boolean;
  autoSelectFamilyAttemptTimeout?: number;
}

/** dns.ADDRCONFIG */
const ADDRCONFIG = 0x20;
/** How long one of several addresses may take before the next is tried (Node's default). */
const ATTEMPT_TIMEOUT = 250;

interface Local {
  readonly address: string | undefined;
  readonly port: number | undefined;
}

/** lookupAndConnect of Node's net: `connecting` is set; what is wrong with the options is thrown. */
export function lookupAndConnect(socket: Socket, options: ConnectOptions): void {
  const { nextTick } = socket.host.platform;
  if (options.path) return noPipe(socket, options.path);
  const host = options.host || "localhost";
  const { localAddress, localPort } = options;
  if (localAddress && !isIP(localAddress)) throw badAddress(localAddress);
  if (localPort) checkNumber(localPort, "options.localPort");
  if (options.port !== undefined && typeof options.port !== "number" && typeof options.port !== "string") {
    throw argType("options.port", "one of type number or string", options.port);
  }
  const port = options.port === undefined ? 0 : checkPort(options.port);
  const several = options.autoSelectFamily ?? true;
  checkBoolean(several, "options.autoSelectFamily");
  const timeout = attemptTimeout(options.autoSelectFamilyAttemptTimeout);
  const local: Local = { address: localAddress, port: localPort };

  const type = isIP(host);
  if (type !== 0) {
    nextTick(() => {
      if (socket.connecting) tryOne(socket, host, port, type, local);
    });
    return;
  }
  if (options.lookup !== undefined && options.lookup !== null) checkFunction(options.lookup, "options.lookup");
  const family = options.family === "IPv4" ? 4 : options.family === "IPv6" ? 6 : options.family;
  let hints = options.hints || 0;
  if (family !== 4 && family !== 6 && hints === 0) hints = ADDRCONFIG;
  socket._host = host;
  const lookup = options.lookup || socket.host.lookup;
  const fail = (e: Error): void => nextTick(() => void socket.destroy(e));

  if (family !== 4 && family !== 6 && !localAddress && several) {
    lookup(host, { family: family as number, hints, all: true }, (error, found) => {
      if (!socket.connecting) return;
      if (error) {
        socket.emit("lookup", error, undefined, undefined, host);
        return fail(error);
      }
      const addresses = found as LookupAddress[];
      const good: LookupAddress[] = [];
      for (const a of addresses) {
        socket.emit("lookup", error, a.address, a.family, host);
        if (!socket.connecting) return;
        if (isIP(a.address) !== 0 && (a.family === 4 || a.family === 6)) {
          if (!good.some((g) => g.address === a.address)) good.push(a);
        }
      }
      if (good.length === 0) {
        const [first] = addresses;
        return fail(
          isIP(first?.address) === 0 ? badAddress(String(first?.address)) : badFamily(first!.family, options),
        );
      }
      socket._unrefTimer();
      const ordered = alternate(good);
      if (ordered.length === 1) tryOne(socket, ordered[0]!.address, port, ordered[0]!.family as 4 | 6, local);
      else new Attempts(socket, ordered, port, local, timeout).next();
    });
    return;
  }
  lookup(host, { family: family as number, hints }, (error, ip, ipFamily) => {
    socket.emit("lookup", error, ip, ipFamily, host);
    if (!socket.connecting) return;
    if (error) return fail(error);
    if (isIP(ip) === 0) return fail(badAddress(String(ip)));
    if (ipFamily !== 4 && ipFamily !== 6) return fail(badFamily(ipFamily!, options));
    socket._unrefTimer();
    tryOne(socket, ip as string, port, ipFamily, local);
  });
}

function attemptTimeout(ms: number | undefined | null): number {
  if (ms === undefined || ms === null) return ATTEMPT_TIMEOUT;
  checkNumber(ms, "options.autoSelectFamilyAttemptTimeout");
  if (!Number.isInteger(ms)) throw outOfRange("options.autoSelectFamilyAttemptTimeout", "an integer", ms);
  if (ms < 1) throw outOfRange("options.autoSelectFamilyAttemptTimeout", ">= 1 && <= 2147483647", ms);
  return Math.max(ms, 10);
}

function badAddress(address: string): Error {
  return nodeError("ERR_INVALID_IP_ADDRESS", `Invalid IP address: ${address}`, TypeError);
}

function badFamily(family: number, options: ConnectOptions): Error {
  const message = `Invalid address family: ${family} ${options.host}:${options.port}`;
  return Object.assign(nodeError("ERR_INVALID_ADDRESS_FAMILY", message, RangeError), {
    host: options.host,
    port: options.port,
  });
}

/** A path names a socket in the file system: an emulated host has none. */
function noPipe(socket: Socket, path: string): void {
  const e: SystemError = new Error(`connect ENOENT ${path}`);
  Object.assign(e, { errno: -2, code: "ENOENT", syscall: "connect", address: path });
  socket.host.loop.post({ turn: () => void (socket.connecting && socket.destroy(e)) });
}

/** The first address's family first, then the other's and its own by turns (RFC 8305 §4). */
function alternate(addresses: readonly LookupAddress[]): LookupAddress[] {
  const first = addresses.filter((a) => a.family === addresses[0]!.family);
  const other = addresses.filter((a) => a.family !== addresses[0]!.family);
  const ordered: LookupAddress[] = [];
  for (let i = 0; i < Math.max(first.length, other.length); i++) {
    if (i < first.length) ordered.push(first[i]!);
    if (i < other.length) ordered.push(other[i]!);
  }
  return ordered;
}

/** Starts one attempt; an error that comes at once is returned, as Node builds it. */
function begin(
  socket: Socket,
  address: string,
  port: number,
  family: number,
  local: Local,
  done: (error: Code | null) => void,
): { readonly bind: boolean; readonly error: Error } | null {
  const { host } = socket;
  const handle = socket.tcp!;
  const bound = local.address || local.port ? (local.address ?? "0.0.0.0") : null;
  const to = ipv4(unmapped(address));
  const from = bound === null ? 0 : ipv4(unmapped(bound));
  const bindFailed = (code: Code) => ({ bind: true, error: hostPortError(code, "bind", bound, local.port) });
  if (bound !== null) {
    if (from === null || to === null) return bindFailed(from === null && to !== null ? "EINVAL" : "EAFNOSUPPORT");
    if (from !== 0 && !host.isLocal(from)) return bindFailed("EADDRNOTAVAIL");
    handle.bind(from, local.port ?? 0);
  }
  const code: Code | null = to === null ? "EAFNOSUPPORT" : handle.connect(to, port, done);
  if (code === "EADDRINUSE") return bindFailed(code);
  socket.emit("connectionAttempt", address, port, family);
  if (code === null) return null;
  const { address: a, port: p } = to === null ? { address: undefined, port: undefined } : handle.getsockname();
  return { bind: false, error: hostPortError(code, "connect", address, port, `${a}:${p}`) };
}

/** Why an attempt failed later on. */
function failure(code: Code, address: string, port: number, local: Local): SystemError {
  const details = local.address && local.port ? `${local.address}:${local.port}` : undefined;
  const e = hostPortError(code, "connect", address, port, details);
  if (details !== undefined) {
    e.localAddress = local.address!;
    e.localPort = local.port!;
  }
  return e;
}

function tryOne(socket: Socket, address: string, port: number, family: 4 | 6, local: Local): void {
  const failed = begin(socket, address, port, family, local, (code) => {
    if (socket.destroyed) return;
    socket._connected(code, (c) => {
      const e = failure(c, address, port, local);
      socket.emit("connectionAttemptFailed", address, port, family, e);
      return e;
    });
  });
  if (failed !== null) socket.destroy(failed.error);
}

/** Several addresses: each gets a while, the next begins where it did not answer or was refused. */
class Attempts {
  private current = 0;
  private readonly errors: Error[] = [];

  constructor(
    private readonly socket: Socket,
    private readonly addresses: readonly LookupAddress[],
    private readonly port: number,
    private readonly local: Local,
    private readonly timeout: number,
  ) {
    socket.autoSelectFamilyAttemptedAddresses = [];
  }

  next(): void {
    const { socket, port } = this;
    if (socket._aborted || !socket.connecting) return;
    if (this.current === this.addresses.length) return void socket.destroy(aggregate(this.errors));
    const { address, family } = this.addresses[this.current++]!;
    if (this.current > 1) {
      socket.tcp?.close(() => undefined);
      socket._attach(new TcpHandle(socket.host));
    }
    const handle = socket.tcp!;
    socket.autoSelectFamilyAttemptedAddresses!.push(`${address}:${port}`);
    const { clock, loop } = socket.host;
    const timer = clock.timer(() =>
      loop.post({
        turn: () => {
          if (socket.tcp !== handle || !socket.connecting) return;
          socket.emit("connectionAttemptTimeout", address, port, family);
          this.errors.push(failure("ETIMEDOUT", address, port, this.local));
          this.next();
        },
      }),
    );
    const failed = begin(socket, address, port, family, { address: undefined, port: this.local.port }, (code) => {
      clock.cancel(timer);
      if (socket.tcp !== handle || socket.destroyed) return;
      if (code === null) return socket._connected(null, () => new Error());
      const e = failure(code, address, port, this.local);
      this.errors.push(e);
      socket.emit("connectionAttemptFailed", address, port, family, e);
      this.next();
    });
    if (failed !== null) {
      this.errors.push(failed.error);
      if (!failed.bind) socket.emit("connectionAttemptFailed", address, port, family, failed.error);
      return this.next();
    }
    if (this.current < this.addresses.length) clock.arm(timer, clock.now + this.timeout * MS);
  }
}

/** Node's NodeAggregateError: the code of the first. */
function aggregate(errors: readonly Error[]): Error {
  return Object.assign(new AggregateError(errors), { code: (errors[0] as SystemError | undefined)?.code });
}
