// src/transport/tcp/endpoint.ts: what programs see of TCP: connections and listeners, without waiting and without promises.

import type { Errno } from "../errno.ts";

/** What changed on a connection or listener since its owner was last woken (poll(2)'s bits). */
export const Wake = {
  /** Bytes, an end of file, or a connection to accept. */
  Readable: 1,
  /** Room in the send buffer; also: the connection is established. */
  Writable: 2,
  /** `error` is set. */
  Error: 4,
  /** The connection is over (CLOSED): nothing will happen on it any more. */
  Hangup: 8,
  /** Urgent data arrived. */
  Priority: 16,
} as const;

/** Who is told, at the same instant, by an event of the clock's own: never inside a call of the owner's. */
export interface Owner {
  wake(what: number): void;
}

export type TcpState =
  | "CLOSED"
  | "LISTEN"
  | "SYN-SENT"
  | "SYN-RCVD"
  | "ESTABLISHED"
  | "FIN-WAIT-1"
  | "FIN-WAIT-2"
  | "CLOSE-WAIT"
  | "CLOSING"
  | "LAST-ACK"
  | "TIME-WAIT";

/** One end of a connection. Addresses are u32 in host order, lengths bytes, times nanoseconds. */
export interface Endpoint {
  owner: Owner | null;
  readonly stateName: TcpState;
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** Why the connection ended or what went wrong (SO_ERROR); reading it through `takeError` clears it. */
  takeError(): Errno | null;
  readonly error: Errno | null;
  /** The last soft error (an ICMP error that the connection survived). */
  readonly softError: Errno | null;

  /** Bytes that can be read now. */
  readonly readable: number;
  /** The peer's FIN was reached or the connection is over: once `readable` is 0, end of file. */
  readonly readEnded: boolean;
  /** Copies what is there, at most `into.length` bytes; answers how many. */
  read(into: Uint8Array, peek?: boolean): number;
  /** Takes `n` readable bytes away without copying them (MSG_TRUNC). */
  discard(n: number): void;

  /** Room in the send buffer. */
  readonly writable: number;
  /** write(2): takes as much as there is room for, answers how much. Throws EPIPE, ECONNRESET ... as send(2) does. */
  write(bytes: Uint8Array, from?: number, length?: number): number;
  /** The same with `length` zero bytes. */
  writeZeros(length: number): number;
  /** Bytes written that the peer did not acknowledge yet. */
  readonly unacknowledged: number;
  /** send(MSG_OOB): the last byte is urgent. */
  writeUrgent(bytes: Uint8Array): number;
  /** The urgent byte (recv MSG_OOB), -1 when there is none. */
  readUrgent(): number;
  /** Whether reading stands at the urgent mark (SIOCATMARK). */
  readonly atMark: boolean;

  /** shutdown(SHUT_WR): a FIN behind what was written. Throws ENOTCONN. */
  shutdownWrite(): void;
  /** shutdown(SHUT_RD). */
  shutdownRead(): void;
  /** close(2): nobody reads or writes any more; what was written still goes out. With unread data it resets. */
  close(): void;
  /** close(2) with SO_LINGER 0: a reset, at once. */
  abort(): void;

  setNoDelay(on: boolean): void;
  setCork(on: boolean): void;
  setQuickAck(on: boolean): void;
  /** Seconds; null turns it off. */
  setKeepAlive(on: boolean, idle?: number, interval?: number, count?: number): void;
  /** TCP_USER_TIMEOUT in nanoseconds, 0: the default. */
  setUserTimeout(ns: number): void;
  setTos(tos: number): void;
  setTtl(ttl: number): void;
  /** SO_RCVBUF / SO_SNDBUF as set (Linux doubles them). */
  setReceiveBuffer(bytes: number): void;
  setSendBuffer(bytes: number): void;
  /** struct tcp_info, by Linux's names. */
  info(): Record<string, number | string>;
}

export interface Listener {
  owner: Owner | null;
  readonly localAddress: number;
  readonly localPort: number;
  /** The next established connection, null when none waits. */
  accept(): Endpoint | null;
  /** Connections waiting to be accepted. */
  readonly waiting: number;
  /** Closes it; connections nobody accepted are reset. */
  close(): void;
}

/** What a host's TCP offers (`ns.transports`, class Tcp in tcp.ts). Addresses 0 and ports 0: any. */
export interface Stack {
  /** Throws EADDRINUSE, EADDRNOTAVAIL, EACCES. */
  listen(address: number, port: number, backlog: number, owner: Owner, options?: EndpointOptions): Listener;
  /** Starts to connect; `owner` hears Writable (established) or Error. Throws ENETUNREACH, EADDRNOTAVAIL ... at once. */
  connect(
    address: number,
    port: number,
    owner: Owner,
    local?: { address?: number; port?: number; reuse?: boolean },
    options?: EndpointOptions,
  ): Endpoint;
  /** Every connection and listener, as `ss -tan` lists them. */
  list(): { state: TcpState; local: [number, number]; remote: [number, number]; recvQ: number; sendQ: number }[];
}

/** Socket options that hold before there is a connection; a listener's go to what it accepts. */
export interface EndpointOptions {
  noDelay?: boolean;
  quickAck?: boolean;
  keepAlive?: { idle?: number; interval?: number; count?: number } | null;
  userTimeout?: number;
  tos?: number;
  ttl?: number;
  receiveBuffer?: number;
  sendBuffer?: number;
  /** TCP_MAXSEG */
  mss?: number;
  reuseAddress?: boolean;
  reusePort?: boolean;
  congestion?: "reno" | "cubic";
}
