// src/transport/posix/tcpoptions.ts: the options of a stream socket: what was asked for, and what its connection has.

import type { Namespace } from "../../host/namespace.ts";
import { MS, SECOND } from "../../link/clock.ts";
import { SocketError } from "../errno.ts";
import type { TcpConfig } from "../tcp/config.ts";
import type { Connection } from "../tcp/connection.ts";
import type { Level, OptionValue } from "./file.ts";
import { integer, lowWater, setBuffer } from "./options.ts";
import type { TcpFile } from "./tcpfile.ts";

/** SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF */
const minReceiveBuffer = 2304;
const minSendBuffer = 4608;
const maxKeepIdle = 32767;
const maxKeepCount = 127;
const maxSynCount = 127;
/** MAX_TCP_WINDOW, TCP_MIN_MSS, TCP_MSS_DEFAULT */
const maxWindow = 32767;
const minMss = 88;
const defaultMss = 536;
const mostMss = 65495;
const timestampsLen = 12;

export class TcpOptions {
  linger: readonly [number, number] = [0, 0];
  cork = false;
  private noDelay = false;
  private quickAck = true;
  private keepAlive = false;
  private keepIdle: number;
  private keepInterval: number;
  private keepCount: number;
  private userTimeout = 0;
  private mss = 0;
  private tos = 0;
  private ttl = 0;
  private receiveBuffer: number;
  private sendBuffer: number;
  private linger2 = 0;
  private synRetries = 0;
  private deferAccept = 0;
  private pmtuDiscovery: number;
  private receiveErrors = 0;
  private congestion: string;
  private readonly plain = new Map<string, number>();

  constructor(
    private readonly file: TcpFile,
    private readonly ns: Namespace,
    private readonly config: TcpConfig,
  ) {
    const { keepAlive, receiveBuffer, sendBuffer } = config;
    this.keepIdle = Math.round(keepAlive.idle / SECOND);
    this.keepInterval = Math.round(keepAlive.interval / SECOND);
    this.keepCount = keepAlive.count;
    this.receiveBuffer = receiveBuffer;
    this.sendBuffer = sendBuffer;
    this.pmtuDiscovery = ns.sockets.dontFragment ? 1 : 0;
    this.congestion = config.congestion;
  }

  /** What an accepted socket has of its listener's. */
  inherit(from: TcpOptions): void {
    const { file, plain } = this;
    Object.assign(this, from, { file, plain });
    for (const [name, value] of from.plain) plain.set(name, value);
  }

  /** What only a connection can be told. */
  apply(endpoint: Connection): void {
    if (this.cork) endpoint.setCork(true);
    endpoint.linger2 = this.linger2;
    endpoint.receiveErrors = this.receiveErrors !== 0;
    if (this.synRetries !== 0) endpoint.synRetries = this.synRetries;
  }

  /** An urgent byte waits. */
  hasUrgent(endpoint: Connection): boolean {
    return (endpoint.urgData & 0x100) !== 0;
  }

  private get connection(): Connection {
    const { endpoint } = this.file;
    if (endpoint === null) throw new SocketError("ENOTCONN");
    return endpoint;
  }

  get(_level: Level, name: string): OptionValue {
    const { endpoint } = this.file;
    switch (name) {
      case "SO_ERROR":
        return this.file.takeError() ?? 0;
      case "SO_TYPE":
        return 1;
      case "SO_PROTOCOL":
        return 6;
      case "SO_DOMAIN":
        return 2;
      case "SO_ACCEPTCONN":
        return Number(this.file.isListening);
      case "SO_REUSEADDR":
        return Number(this.file.options.reuseAddress === true);
      case "SO_REUSEPORT":
        return Number(this.file.options.reusePort === true);
      case "SO_KEEPALIVE":
        return Number(this.keepAlive);
      case "SO_LINGER":
        return this.linger;
      case "SO_RCVBUF":
        return endpoint === null ? this.receiveBuffer : endpoint.rcvBuf;
      case "SO_SNDBUF":
        return endpoint === null || endpoint.sndBufLocked ? this.sendBuffer : expanded(endpoint, this.sendBuffer);
      case "SO_BROADCAST":
      case "SO_OOBINLINE":
      case "SO_PRIORITY":
      case "SO_TIMESTAMP":
      case "IP_RECVTOS":
        return this.plain.get(name) ?? 0;
      case "SO_RCVLOWAT":
        return this.plain.get(name) ?? 1;
      case "SIOCINQ":
      case "FIONREAD":
        if (this.file.isListening) throw new SocketError("EINVAL");
        return endpoint === null ? 0 : endpoint.readable;
      case "SIOCOUTQ":
      case "TIOCOUTQ":
        if (this.file.isListening) throw new SocketError("EINVAL");
        return endpoint === null ? 0 : unacknowledged(endpoint);
      case "SIOCATMARK":
        return endpoint === null ? 0 : Number(endpoint.atMark);
      case "TCP_NODELAY":
        return Number(this.noDelay);
      case "TCP_CORK":
        return Number(this.cork);
      case "TCP_MAXSEG":
        if (endpoint !== null && !this.file.isUnborn) return Math.min(endpoint.mss, mostMss);
        if (endpoint !== null) return defaultMss - (this.config.timestamps ? timestampsLen : 0);
        return this.mss !== 0 ? this.mss : defaultMss;
      case "TCP_KEEPIDLE":
        return this.keepIdle;
      case "TCP_KEEPINTVL":
        return this.keepInterval;
      case "TCP_KEEPCNT":
        return this.keepCount;
      case "TCP_USER_TIMEOUT":
        return this.userTimeout;
      case "TCP_QUICKACK":
        return Number(this.quickAck);
      case "TCP_LINGER2":
        if (this.linger2 < 0) return -1;
        return this.linger2 !== 0 ? this.linger2 : Math.round(this.config.finTimeout / SECOND);
      case "TCP_SYNCNT":
        return this.synRetries !== 0 ? this.synRetries : this.config.synRetries;
      case "TCP_DEFER_ACCEPT":
        return this.deferAccept;
      case "TCP_CONGESTION":
        return this.congestion;
      case "TCP_WINDOW_CLAMP":
        return this.plain.get(name) ?? 0;
      case "IP_TOS":
        return this.tos;
      case "IP_TTL":
        return this.ttl !== 0 ? this.ttl : this.ns.defaultTtl();
      case "IP_MTU_DISCOVER":
        return this.pmtuDiscovery;
      case "IP_MTU":
        return Number(this.connection.info()["tcpi_pmtu"]);
      case "IP_RECVERR":
        return this.receiveErrors;
      default:
        throw new SocketError("ENOPROTOOPT");
    }
  }

  set(name: string, value: OptionValue): void {
    const { endpoint, options } = this.file;
    if (name === "SO_LINGER") {
      if (!Array.isArray(value)) throw new SocketError("EINVAL");
      this.linger = value as unknown as readonly [number, number];
      return;
    }
    if (name === "TCP_CONGESTION") return this.setCongestion(value);
    const v = integer(value);
    const on = v !== 0;
    const range = (from: number, to: number): number => {
      if (v < from || v > to) throw new SocketError("EINVAL");
      return v;
    };
    switch (name) {
      case "SO_REUSEADDR":
        options.reuseAddress = on;
        return;
      case "SO_REUSEPORT":
        options.reusePort = on;
        return;
      case "SO_KEEPALIVE":
        this.keepAlive = on;
        return this.setKeepAlive();
      case "SO_RCVBUF":
        this.receiveBuffer = Math.max(setBuffer(v) * 2, minReceiveBuffer);
        options.receiveBuffer = this.receiveBuffer / 2;
        return endpoint?.setReceiveBuffer(this.receiveBuffer / 2);
      case "SO_SNDBUF":
        this.sendBuffer = Math.max(setBuffer(v) * 2, minSendBuffer);
        // what is written counts against all of it: large segments cost the kernel little beside their bytes
        options.sendBuffer = this.sendBuffer;
        return endpoint?.setSendBuffer(this.sendBuffer);
      case "SO_BROADCAST":
      case "SO_OOBINLINE":
      case "SO_TIMESTAMP":
        this.plain.set(name, Number(on));
        return;
      case "SO_PRIORITY":
      case "IP_RECVTOS":
      case "TCP_WINDOW_CLAMP":
        this.plain.set(name, v);
        return;
      case "SO_RCVLOWAT":
        this.plain.set(name, lowWater(v));
        return;
      case "TCP_NODELAY":
        this.noDelay = options.noDelay = on;
        return endpoint?.setNoDelay(on);
      case "TCP_CORK":
        this.cork = on;
        return endpoint?.setCork(on);
      case "TCP_MAXSEG":
        if (v !== 0) range(minMss, maxWindow);
        this.mss = options.mss = v;
        return;
      case "TCP_KEEPIDLE":
        this.keepIdle = range(1, maxKeepIdle);
        return this.setKeepAlive();
      case "TCP_KEEPINTVL":
        this.keepInterval = range(1, maxKeepIdle);
        return this.setKeepAlive();
      case "TCP_KEEPCNT":
        this.keepCount = range(1, maxKeepCount);
        return this.setKeepAlive();
      case "TCP_USER_TIMEOUT":
        this.userTimeout = range(0, 0x7fffffff);
        options.userTimeout = v * MS;
        return endpoint?.setUserTimeout(v * MS);
      case "TCP_QUICKACK":
        this.quickAck = options.quickAck = on;
        return endpoint?.setQuickAck(on);
      case "TCP_LINGER2":
        this.linger2 = v < 0 ? -1 : v > 120 ? 0 : v;
        if (endpoint !== null) endpoint.linger2 = this.linger2;
        return;
      case "TCP_SYNCNT":
        this.synRetries = range(1, maxSynCount);
        if (endpoint !== null) endpoint.synRetries = v;
        return;
      case "TCP_DEFER_ACCEPT":
        this.deferAccept = v;
        return;
      case "IP_TOS":
        // a stream's ECN bits are its own
        this.tos = options.tos = (v & 0xfc) | (this.tos & 3);
        return endpoint?.setTos(this.tos);
      case "IP_TTL":
        if (v !== -1) range(1, 255);
        this.ttl = options.ttl = v === -1 ? 0 : v;
        return endpoint?.setTtl(this.ttl);
      case "IP_MTU_DISCOVER":
        this.pmtuDiscovery = range(0, 5);
        return;
      case "IP_RECVERR":
        this.receiveErrors = Number(on);
        if (endpoint !== null) endpoint.receiveErrors = on;
        return;
      default:
        throw new SocketError("ENOPROTOOPT");
    }
  }

  private setKeepAlive(): void {
    const { endpoint, options } = this.file;
    const { keepIdle: idle, keepInterval: interval, keepCount: count } = this;
    options.keepAlive = this.keepAlive ? { idle, interval, count } : null;
    endpoint?.setKeepAlive(this.keepAlive, idle, interval, count);
  }

  private setCongestion(value: OptionValue): void {
    if (value !== "reno" && value !== "cubic") throw new SocketError("ENOENT");
    this.congestion = this.file.options.congestion = value;
  }
}

/** tcp_ioctl(SIOCOUTQ): a FIN counts, and what a connection that is over left behind. */
function unacknowledged(c: Connection): number {
  const { stateName } = c;
  return stateName === "SYN-SENT" || stateName === "SYN-RCVD" ? 0 : (c.writeSeq - c.sndUna) | 0;
}

/** tcp_sndbuf_expand, as the kernel counts: twice a window of segments with all that a segment costs. */
function expanded(c: Connection, least: number): number {
  const { stateName } = c;
  if (stateName === "SYN-SENT" || stateName === "CLOSED") return least;
  const segments = Math.max(c.config.initialWindow, c.cwnd, c.reordering + 1);
  let cost = 1024;
  while (cost < c.mss + 640) cost *= 2;
  return Math.max(least, Math.min(2 * segments * (cost + 256), c.config.sendBufferMax));
}
