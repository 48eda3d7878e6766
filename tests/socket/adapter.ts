// tests/socket/adapter.ts: what the conformance suite needs of a net: Node's own over loopback, or an emulated one.

import type net from "node:net";

export interface Adapter {
  readonly name: string;
  /** Node's own: what only an emulated network can show is left out. */
  readonly real: boolean;
  /** Its sockets are Node's own streams: `instanceof` says so. */
  readonly nodeStreams: boolean;
  /** The net of the host that serves, and of the one that connects. */
  readonly serverNet: typeof net;
  readonly clientNet: typeof net;
  /** The server's address, and the one that clients come from. */
  readonly host: string;
  readonly clientHost: string;
  /** A name that the client knows the server by, and whether its lookup may answer more than IPv4. */
  readonly hostname: string;
  /** Runs the case with time passing, to its end. */
  run(test: () => Promise<void>): Promise<void>;
  /** Time passes. */
  sleep(ms: number): Promise<void>;
  /** Sockets still open on both hosts, where that can be asked. */
  open(): number | null;
}

/** Waits for an event; an 'error' before it is thrown, but before 'close', where it is common. */
export function once(emitter: NodeJS.EventEmitter, event: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const onError = (e: unknown): void => {
      emitter.removeListener(event, onEvent);
      reject(e);
    };
    const onEvent = (...args: unknown[]): void => {
      emitter.removeListener("error", onError);
      resolve(args);
    };
    emitter.once(event, onEvent);
    if (event !== "error" && event !== "close") emitter.once("error", onError);
  });
}

const EVENTS = ["lookup", "connectionAttempt", "connectionAttemptFailed", "connect", "ready", "data", "end", "finish"];
const LATER = ["timeout", "error", "close", "drain"];

/** Writes down what a socket emits: names, with the size of data, the code of errors, and 'close''s flag. */
export function record(socket: NodeJS.EventEmitter, only: readonly string[] = [...EVENTS, ...LATER]): string[] {
  const log: string[] = [];
  for (const event of only) {
    socket.on(event, (...args: unknown[]) => {
      const [a] = args;
      if (event === "data") log.push(`data ${(a as Buffer).length}`);
      else if (event === "error") log.push(`error ${(a as NodeJS.ErrnoException).code}`);
      else if (event === "close") log.push(`close ${String(a)}`);
      else log.push(event);
    });
  }
  return log;
}

/** An error's own fields, as they stand. */
export function fields(e: unknown): Record<string, unknown> {
  const { message, name, code } = e as NodeJS.ErrnoException;
  return { message, name, ...(code === undefined ? {} : { code }), ...(e as object) };
}
