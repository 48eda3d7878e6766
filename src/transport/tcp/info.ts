// src/transport/tcp/info.ts: a connection as `ss -i` and getsockopt(TCP_INFO) show it, by Linux's names.

import type { Connection } from "./connection.ts";
import { INFINITE_SSTHRESH } from "./congestion.ts";

const caNames = ["open", "disorder", "cwr", "recovery", "loss"];

/** Times in microseconds, sizes in bytes or segments, as struct tcp_info has them. */
export function info(c: Connection): Record<string, number | string> {
  const us = (ns: number): number => Math.round(ns / 1000);
  return {
    state: c.stateName,
    ca_state: caNames[c.ca]!,
    congestion: c.congestion.name,
    tcpi_ca_state: c.ca,
    tcpi_retransmits: c.retransmits,
    tcpi_probes: c.probesOut,
    tcpi_backoff: c.backoff,
    tcpi_options:
      (c.tsOk ? 1 : 0) | (c.sackOk ? 2 : 0) | (c.wscaleOk ? 4 : 0) | (c.ecnOk ? 8 : 0) | (c.seenEct ? 16 : 0),
    tcpi_snd_wscale: c.sndWscale,
    tcpi_rcv_wscale: c.rcvWscale,
    tcpi_rto: us(c.rto),
    tcpi_ato: us(c.ato),
    tcpi_snd_mss: c.mss,
    tcpi_rcv_mss: c.rcvMss,
    tcpi_unacked: c.packetsOut,
    tcpi_sacked: c.sackedOut,
    tcpi_lost: c.lostOut,
    tcpi_retrans: c.retransOut,
    tcpi_fackets: 0,
    tcpi_last_data_sent: us(c.now - c.lastSent),
    tcpi_last_data_recv: us(c.now - c.lastReceived),
    tcpi_last_ack_recv: us(c.now - c.lastHeard),
    tcpi_pmtu: c.pmtu,
    tcpi_rcv_ssthresh: c.rcvSsthresh,
    tcpi_rtt: us(c.srtt),
    tcpi_rttvar: us(c.rttvar),
    tcpi_snd_ssthresh: c.ssthresh >= INFINITE_SSTHRESH ? INFINITE_SSTHRESH : c.ssthresh,
    tcpi_snd_cwnd: c.cwnd,
    tcpi_advmss: c.advertisedMss,
    tcpi_reordering: c.reordering,
    tcpi_rcv_rtt: us(c.rcvRtt),
    tcpi_rcv_space: c.rcvqSpace,
    tcpi_total_retrans: c.totalRetrans,
    tcpi_notsent_bytes: Math.max(0, (c.writeSeq - c.sndNxt) | 0),
    tcpi_min_rtt: c.minRtt === Infinity ? 0xffffffff : us(c.minRtt),
    tcpi_delivered: c.delivered,
    tcpi_bytes_acked: (c.sndUna - c.iss) >>> 0,
    tcpi_bytes_received: (c.rcvNxt - c.irs) >>> 0,
    tcpi_bytes_retrans: c.bytesRetrans,
    tcpi_reord_seen: c.reordSeen,
    tcpi_snd_wnd: c.sndWnd,
    tcpi_rcv_wnd: c.receiveWindow,
  };
}
