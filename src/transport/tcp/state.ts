// src/transport/tcp/state.ts: the states of a connection (RFC 9293 §3.3.2), the flags of a segment, the states of its sender.

import type { TcpState } from "./endpoint.ts";

export const State = {
  Closed: 0,
  Listen: 1,
  SynSent: 2,
  SynRcvd: 3,
  Established: 4,
  FinWait1: 5,
  FinWait2: 6,
  CloseWait: 7,
  Closing: 8,
  LastAck: 9,
  TimeWait: 10,
} as const;

export const stateNames: readonly TcpState[] = [
  "CLOSED",
  "LISTEN",
  "SYN-SENT",
  "SYN-RCVD",
  "ESTABLISHED",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "CLOSE-WAIT",
  "CLOSING",
  "LAST-ACK",
  "TIME-WAIT",
];

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

/** What the sender believes of the network (Linux's tcp_ca_state). */
export const Ca = {
  Open: 0,
  /** Something came out of order; nothing is believed lost. */
  Disorder: 1,
  /** ECN asked for less. */
  Cwr: 2,
  /** Fast retransmit. */
  Recovery: 3,
  /** The retransmission timer fired. */
  Loss: 4,
} as const;

/** shutdown(2) */
export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;

/** Which timer the one for retransmissions is (ICSK_TIME_*). */
export const Pending = { None: 0, Retransmit: 1, Probe: 2, LossProbe: 3, Reorder: 4 } as const;
