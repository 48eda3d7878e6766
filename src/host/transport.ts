// src/host/transport.ts: what a host asks of its transports (TCP, UDP): to take what is for their sockets, and to hear of
// ICMP errors about what they sent.

import type { Frame } from "../core/core.ts";
import type { Interface } from "../link/interface.ts";

/** Addresses are u32 in host order. */
export interface Transport {
  /**
   * A segment or datagram for this host, header and checksum good: `Data` at its IPv4 header, whole; `Pkt.Trans` at the
   * transport header; `Pkt.Len` ends where its data ends. True: a socket took it. False: no socket wants it, and the frame
   * is still the caller's.
   */
  receive(dev: Interface, frame: Frame): boolean;
  /**
   * An ICMP error about a packet of ours (dest. unreachable, time exceeded, parameter problem, source quench). `quoted` is
   * the address in the core of the IPv4 header that it quotes, followed by at least 8 bytes; `length` is how many bytes
   * there are from there. `info`: MTU for 3/4 (0: none told), pointer for a parameter problem, else the second word of the
   * ICMP header. `from`: who sent it. The bytes are good during the call only.
   *
   * TCP believes "fragmentation needed" only where the quoted sequence number is in flight (RFC 5927 §4): it calls
   * `Namespace.updatePmtu` itself. For UDP the host learned it before the call.
   */
  error(quoted: number, length: number, type: number, code: number, info: number, from: number): void;
  /** Whether a socket is there; `address` 0 asks for any. */
  hasPort(address: number, port: number): boolean;
}

/** A namespace's; null: nobody listens, the host answers by itself. */
export interface Transports {
  tcp: Transport | null;
  udp: Transport | null;
}
