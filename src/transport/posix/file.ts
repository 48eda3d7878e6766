// src/transport/posix/file.ts: what a descriptor of a socket stands for, and how calls on it end or wait.

import { type Errno, SocketError } from "../errno.ts";

/** How a call returned, with what it fills in. Addresses are u32 in host order. */
export interface Outcome {
  /** -1 with `errno`. */
  ret: number;
  errno?: Errno;
  data?: Uint8Array;
  address?: number;
  port?: number;
  value?: OptionValue;
  flags?: string[];
  revents?: string[][];
}

/** SO_LINGER is a pair, names are text, the rest are integers. */
export type OptionValue = number | string | readonly [number, number];

/** Tries a call: its outcome, or null when it has to wait (and changed nothing that trying again would repeat). */
export type Attempt = () => Outcome | null;

export function ok(ret = 0): Outcome {
  return { ret };
}

export function fail(errno: Errno): Outcome {
  return { ret: -1, errno };
}

/** Runs what may throw a SocketError. */
export function outcomeOf(call: () => Outcome | null): Outcome | null {
  try {
    return call();
  } catch (e) {
    if (e instanceof SocketError) return fail(e.code);
    throw e;
  }
}

/** MSG_* of a call. */
export interface MessageFlags {
  dontWait?: boolean;
  peek?: boolean;
  truncate?: boolean;
  outOfBand?: boolean;
  waitAll?: boolean;
  more?: boolean;
  errorQueue?: boolean;
}

/** Data to send: bytes, or so many zeros. */
export interface Payload {
  readonly bytes: Uint8Array | null;
  readonly length: number;
}

/** poll(2)'s bits. */
export const Poll = {
  In: 1,
  Pri: 2,
  Out: 4,
  Err: 8,
  Hup: 16,
  Nval: 32,
  RdNorm: 64,
  RdBand: 128,
  WrNorm: 256,
  WrBand: 512,
  RdHup: 0x2000,
} as const;

export type Level = "socket" | "ip" | "tcp" | "udp";

/** What every socket has. Calls answer an Attempt; whoever calls runs it, now and when the file was woken. */
export abstract class File {
  /** O_NONBLOCK */
  nonblocking = false;
  /** What blocks on it. */
  readonly waiters: Waiter[] = [];
  closed = false;

  constructor(protected readonly wakes: Wakes) {}

  abstract bind(address: number, port: number): Outcome;
  abstract listen(backlog: number): Outcome;
  abstract accept(): Attempt;
  abstract connect(address: number, port: number): Attempt;
  abstract send(payload: Payload, flags: MessageFlags, address: number, port: number): Attempt;
  abstract receive(length: number, flags: MessageFlags): Attempt;
  abstract shutdown(how: number): Outcome;
  /** The descriptor is gone; with SO_LINGER it may wait. */
  abstract close(): Attempt;
  abstract getOption(level: Level, name: string): OptionValue;
  abstract setOption(level: Level, name: string, value: OptionValue): void;
  /** What poll(2) sees now. */
  abstract poll(): number;

  /** What a call that would wait answers on a nonblocking descriptor. */
  wouldBlock(fn: string): Errno {
    return fn === "connect" ? "EINPROGRESS" : "EAGAIN";
  }

  /** An owner's `wake`. */
  wake(_what: number): void {
    this.wakes.woke(this);
  }
}

/** A call that waits. */
export interface Waiter {
  readonly attempt: Attempt;
  readonly files: readonly File[];
  finish(outcome: Outcome): void;
}

/** Hears that something happened to a file. */
export interface Wakes {
  woke(file: File): void;
}
