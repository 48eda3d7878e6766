// src/cli/drive-calls.ts: pdsut/1's `call`: its members to a call on BSD sockets, and what came of it back.

import { formatIpv4, parseIpv4 } from "../core/address.ts";
import { MS } from "../link/clock.ts";
import { type MessageFlags, type OptionValue, type Outcome, type Payload, Poll } from "../transport/posix/file.ts";
import { levelOf, levelOfOption } from "../transport/posix/options.ts";
import type { Done, Posix } from "../transport/posix/posix.ts";
import { Fault, type Json, type Members, isObject } from "./drive-json.ts";

/** What a reply tells of a call. */
export type Result = Record<string, Json>;

const maxInt = 2 ** 31 - 1;
const maxPort = 65535;
/** IOV_MAX's neighbour: more descriptors than this no poll asks for. */
const maxPoll = 65536;

const flagNames: Readonly<Record<string, keyof MessageFlags | null>> = {
  MSG_DONTWAIT: "dontWait",
  MSG_PEEK: "peek",
  MSG_TRUNC: "truncate",
  MSG_OOB: "outOfBand",
  MSG_WAITALL: "waitAll",
  MSG_MORE: "more",
  MSG_ERRQUEUE: "errorQueue",
  MSG_NOSIGNAL: null,
  MSG_EOR: null,
  MSG_CONFIRM: null,
};

const pollNames: readonly (readonly [string, number])[] = [
  ["POLLIN", Poll.In],
  ["POLLPRI", Poll.Pri],
  ["POLLOUT", Poll.Out],
  ["POLLERR", Poll.Err],
  ["POLLHUP", Poll.Hup],
  ["POLLNVAL", Poll.Nval],
  ["POLLRDNORM", Poll.RdNorm],
  ["POLLRDBAND", Poll.RdBand],
  ["POLLWRNORM", Poll.WrNorm],
  ["POLLWRBAND", Poll.WrBand],
  ["POLLRDHUP", Poll.RdHup],
];

function pollBits(names: readonly string[]): number {
  let bits = 0;
  for (const name of names) {
    const found = pollNames.find(([n]) => n === name);
    if (found === undefined) throw new Fault(`'${name}' is no event of poll`);
    bits |= found[1];
  }
  return bits;
}

function namesOfPoll(bits: number): string[] {
  return pollNames.filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
}

function flagsOf(m: Members): MessageFlags {
  const flags: MessageFlags = {};
  for (const name of m.names("flags")) {
    const short = name.startsWith("MSG_") ? name : `MSG_${name}`;
    if (!Object.hasOwn(flagNames, short)) throw new Fault(`'${name}' is no flag of send and recv`);
    const key = flagNames[short]!;
    if (key !== null) flags[key] = true;
  }
  return flags;
}

function addressOf(m: Members): number {
  const text = m.text("ip");
  const address = text === "" ? 0 : parseIpv4(text);
  if (address === null) throw new Fault(`'ip': '${text}' is no IPv4 address`);
  return address;
}

function payloadOf(m: Members): Payload {
  if (m.has("data")) {
    const bytes = m.hex("data");
    return { bytes, length: m.integer("len", 0, bytes.length, bytes.length) };
  }
  return { bytes: null, length: m.integer("len", 0, maxInt) };
}

const shutdownWords: Readonly<Record<string, number>> = { RD: 1, WR: 2, RDWR: 3, SHUT_RD: 1, SHUT_WR: 2, SHUT_RDWR: 3 };

/** One function of the protocol. Null: it waits, and `done` hears. */
type Fn = (posix: Posix, m: Members, done: Done) => Outcome | null;

const fd = (m: Members): number => m.integer("fd", -1, maxInt);
const port = (m: Members): number => m.integer("port", 0, maxPort);

const fns: Readonly<Record<string, Fn>> = {
  socket: (posix, m) => {
    const type = m.text("type");
    if (type !== "stream" && type !== "dgram") throw new Fault(`'type': '${type}', expected "stream" or "dgram"`);
    return posix.socket(type);
  },
  bind: (posix, m) => posix.bind(fd(m), addressOf(m), port(m)),
  listen: (posix, m) => posix.listen(fd(m), m.integer("backlog", -maxInt, maxInt, 128)),
  accept: (posix, m, done) => posix.accept(fd(m), done),
  connect: (posix, m, done) => posix.connect(fd(m), addressOf(m), port(m), done),
  send: (posix, m, done) => posix.send(fd(m), payloadOf(m), flagsOf(m), 0, -1, done),
  sendto: (posix, m, done) => {
    const named = m.has("ip") || m.has("port");
    return posix.send(fd(m), payloadOf(m), flagsOf(m), named ? addressOf(m) : 0, named ? port(m) : -1, done);
  },
  recv: (posix, m, done) => posix.receive(fd(m), m.integer("len", 0, maxInt), flagsOf(m), done),
  recvfrom: (posix, m, done) => posix.receive(fd(m), m.integer("len", 0, maxInt), flagsOf(m), done),
  shutdown: (posix, m) => {
    const how = m.text("how");
    if (!Object.hasOwn(shutdownWords, how)) throw new Fault(`'how': '${how}', expected "RD", "WR" or "RDWR"`);
    return posix.shutdown(fd(m), shutdownWords[how]!);
  },
  close: (posix, m, done) => posix.close(fd(m), done),
  fcntl: (posix, m) => {
    const cmd = m.text("cmd");
    if (cmd === "F_GETFL") return posix.getFlags(fd(m));
    if (cmd === "F_SETFL") return posix.setNonblocking(fd(m), m.names("flags").includes("O_NONBLOCK"));
    throw new Fault(`'cmd': '${cmd}', expected "F_GETFL" or "F_SETFL"`);
  },
  getsockopt: (posix, m) => posix.getOption(fd(m), level(m), m.text("name")),
  setsockopt: (posix, m) => posix.setOption(fd(m), level(m), m.text("name"), optionValue(m.o["value"])),
  poll: (posix, m, done) => {
    const list = m.list("fds");
    if (list.length > maxPoll) throw new Fault("'fds': too many");
    const fds = list.map((entry) => {
      if (!isObject(entry)) throw new Fault("'fds': expected objects");
      const { fd: number, events } = entry;
      if (typeof number !== "number" || !Number.isInteger(number)) throw new Fault("'fds': 'fd' is no integer");
      if (!Array.isArray(events)) throw new Fault("'fds': expected 'events'");
      return { fd: number, events: pollBits(events.map(String)) };
    });
    const timeout = m.integer("timeout_ms", -1, maxInt, -1);
    return posix.poll(fds, timeout < 0 ? -1 : timeout * MS, namesOfPoll, done);
  },
};

function level(m: Members): ReturnType<typeof levelOfOption> {
  const name = m.text("name");
  if (!m.has("level")) return levelOfOption(name);
  const found = levelOf(m.text("level"));
  if (found === null) throw new Fault(`'level': '${m.text("level")}' is none, expected one such as SOL_SOCKET`);
  return found;
}

function optionValue(v: Json | undefined): OptionValue {
  if (typeof v === "boolean") return Number(v);
  if (typeof v === "number" || typeof v === "string") return v;
  if (Array.isArray(v) && v.length === 2 && v.every((n) => typeof n === "number" && Number.isInteger(n))) {
    return v as unknown as readonly [number, number];
  }
  throw new Fault("'value': expected an integer, a pair of them or a name");
}

/** Calls `fn`; null when it waits: then `done` hears. Throws `Fault` for what cannot be called. */
export function call(posix: Posix, fn: string, m: Members, done: (result: Result) => void): Result | null {
  if (!Object.hasOwn(fns, fn)) throw new Fault(`'fn': '${fn}' is none, expected one of ${Object.keys(fns).join(" ")}`);
  const outcome = fns[fn]!(posix, m, (late) => done(resultOf(late)));
  return outcome === null ? null : resultOf(outcome);
}

function resultOf(outcome: Outcome): Result {
  const { ret, errno, data, address, port: from, value, flags, revents } = outcome;
  const result: Result = { ret };
  if (errno !== undefined) result["errno"] = errno;
  if (data !== undefined) {
    result["data"] = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex");
  }
  if (address !== undefined) result["ip"] = formatIpv4(address);
  if (from !== undefined) result["port"] = from;
  if (value !== undefined) result["value"] = value as Json;
  if (flags !== undefined) result["flags"] = flags;
  if (revents !== undefined) result["revents"] = revents;
  return result;
}
