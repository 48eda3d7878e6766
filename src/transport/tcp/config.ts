// src/transport/tcp/config.ts: the knobs of a host's TCP, with Linux's defaults (Documentation/networking/ip-sysctl.rst).

import { MS, SECOND } from "../../link/clock.ts";
import type { Sysctl } from "../../host/sysctl.ts";

/** Times in nanoseconds, sizes in bytes. */
export interface TcpConfig {
  /** tcp_sack, tcp_dsack */
  sack: boolean;
  dsack: boolean;
  /** tcp_timestamps: offered in SYNs, used when the peer has them (RFC 7323). */
  timestamps: boolean;
  /** tcp_window_scaling */
  windowScale: boolean;
  /** tcp_ecn: 0 off, 1 ask and answer, 2 answer only. */
  ecn: 0 | 1 | 2;
  /** tcp_syncookies: 0 off, 1 when the SYN queue overflows, 2 always. */
  synCookies: 0 | 1 | 2;
  congestion: "reno" | "cubic";
  /** TCP_INIT_CWND in segments (RFC 6928). */
  initialWindow: number;
  rtoMin: number;
  rtoMax: number;
  /** TCP_TIMEOUT_INIT, also of SYNs. */
  rtoInitial: number;
  /** The shortest and longest wait before an ACK that nothing hurries (TCP_DELACK_MIN, TCP_DELACK_MAX). */
  delayedAckMin: number;
  delayedAckMax: number;
  /** Connections begin in quick-ACK mode (TCP_QUICKACK), as Linux's do; false: ACKs are delayed from the first on. */
  quickAck: boolean;
  /** tcp_reordering: duplicate ACKs that count as a loss. */
  reordering: number;
  /** tcp_early_retrans: tail loss probes (RFC 8985 §7). */
  tailLossProbe: boolean;
  /** tcp_recovery: time-based loss detection (RFC 8985 §6). */
  rack: boolean;
  /** The middle and the last number of tcp_rmem and tcp_wmem: what a socket begins with, and grows to by itself. */
  receiveBuffer: number;
  receiveBufferMax: number;
  /** net.core.rmem_max: with tcp_rmem's last number it decides the window scale that is offered. */
  socketBufferMax: number;
  sendBuffer: number;
  sendBufferMax: number;
  /** tcp_adv_win_scale: how much of the receive buffer is window (1: half of it). */
  windowShare: number;
  /** tcp_syn_retries, tcp_synack_retries, tcp_retries1, tcp_retries2, tcp_orphan_retries (0: 8) */
  synRetries: number;
  /** tcp_syn_linear_timeouts: so many SYNs more come first, without doubling the time between them. */
  synLinearTimeouts: number;
  synAckRetries: number;
  retries1: number;
  retries2: number;
  orphanRetries: number;
  /** Half of what TIME-WAIT lasts: Linux's TCP_TIMEWAIT_LEN is 60 s. */
  maximumSegmentLifetime: number;
  /** tcp_fin_timeout: FIN-WAIT-2 of what nobody reads any more. */
  finTimeout: number;
  /** tcp_keepalive_time, _intvl, _probes */
  keepAlive: { idle: number; interval: number; count: number };
  /** tcp_slow_start_after_idle (RFC 2861) */
  slowStartAfterIdle: boolean;
  /** tcp_max_syn_backlog */
  synBacklog: number;
  /** net.core.somaxconn */
  maxBacklog: number;
  /** tcp_challenge_ack_limit a second (RFC 5961 §5), and tcp_invalid_ratelimit. */
  challengeAckLimit: number;
  invalidRateLimit: number;
  /** tcp_mtu_probing: 0 off, 1 when a black hole is suspected, 2 always (RFC 4821). */
  mtuProbing: 0 | 1 | 2;
  /** tcp_base_mss, tcp_min_snd_mss */
  baseMss: number;
  minSendMss: number;
  /** tcp_rfc1337: resets do not end TIME-WAIT. */
  rfc1337: boolean;
  /** tcp_abort_on_overflow: a full accept queue resets. */
  abortOnOverflow: boolean;
}

export const defaultConfig: Readonly<TcpConfig> = {
  sack: true,
  dsack: true,
  timestamps: true,
  windowScale: true,
  ecn: 2,
  synCookies: 1,
  congestion: "cubic",
  initialWindow: 10,
  rtoMin: 200 * MS,
  rtoMax: 120 * SECOND,
  rtoInitial: SECOND,
  delayedAckMin: 40 * MS,
  delayedAckMax: 200 * MS,
  quickAck: true,
  reordering: 3,
  tailLossProbe: true,
  rack: true,
  receiveBuffer: 131072,
  receiveBufferMax: 33554432,
  socketBufferMax: 212992,
  sendBuffer: 16384,
  sendBufferMax: 4194304,
  windowShare: 1,
  synRetries: 6,
  synLinearTimeouts: 4,
  synAckRetries: 5,
  retries1: 3,
  retries2: 15,
  orphanRetries: 0,
  maximumSegmentLifetime: 30 * SECOND,
  finTimeout: 60 * SECOND,
  keepAlive: { idle: 7200 * SECOND, interval: 75 * SECOND, count: 9 },
  slowStartAfterIdle: true,
  synBacklog: 512,
  maxBacklog: 4096,
  challengeAckLimit: 2147483647,
  invalidRateLimit: 500 * MS,
  mtuProbing: 0,
  baseMss: 1024,
  minSendMss: 48,
  rfc1337: false,
  abortOnOverflow: false,
};

/** What a namespace's sysctls say now, on top of the defaults. */
export function configOf(sysctl: Sysctl): TcpConfig {
  const get = (name: string): number => sysctl.get(`net.ipv4.tcp_${name}`);
  const sizes = (name: string): number[] => sysctl.getText(`net.ipv4.tcp_${name}`).trim().split(/\s+/).map(Number);
  const [, rmem = defaultConfig.receiveBuffer, rmemMax = defaultConfig.receiveBufferMax] = sizes("rmem");
  const [, wmem = defaultConfig.sendBuffer, wmemMax = defaultConfig.sendBufferMax] = sizes("wmem");
  return {
    ...defaultConfig,
    sack: get("sack") !== 0,
    dsack: get("dsack") !== 0,
    timestamps: get("timestamps") !== 0,
    windowScale: get("window_scaling") !== 0,
    ecn: mode(get("ecn")),
    synCookies: mode(get("syncookies")),
    congestion: sysctl.getText("net.ipv4.tcp_congestion_control") === "reno" ? "reno" : "cubic",
    reordering: get("reordering"),
    tailLossProbe: get("early_retrans") !== 0,
    rack: (get("recovery") & 1) !== 0,
    receiveBuffer: rmem,
    receiveBufferMax: rmemMax,
    sendBuffer: wmem,
    sendBufferMax: wmemMax,
    synRetries: get("syn_retries"),
    synAckRetries: get("synack_retries"),
    retries1: get("retries1"),
    retries2: get("retries2"),
    finTimeout: get("fin_timeout") * SECOND,
    keepAlive: {
      idle: get("keepalive_time") * SECOND,
      interval: get("keepalive_intvl") * SECOND,
      count: get("keepalive_probes"),
    },
    slowStartAfterIdle: get("slow_start_after_idle") !== 0,
    synBacklog: get("max_syn_backlog"),
    challengeAckLimit: get("challenge_ack_limit"),
    mtuProbing: mode(get("mtu_probing")),
    baseMss: get("base_mss"),
    minSendMss: get("min_snd_mss"),
    rfc1337: get("rfc1337") !== 0,
    abortOnOverflow: get("abort_on_overflow") !== 0,
  };
}

function mode(v: number): 0 | 1 | 2 {
  return v === 0 ? 0 : v === 1 ? 1 : 2;
}
