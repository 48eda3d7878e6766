// src/transport/posix/tcpfile.ts: a SOCK_STREAM socket behind a descriptor (inet_stream_connect, tcp_sendmsg, tcp_recvmsg,
// tcp_poll decide what waits and what fails how).

import { RouteType } from "../../host/fib/route.ts";
import type { Namespace } from "../../host/namespace.ts";
import { SECOND } from "../../link/clock.ts";
import type { Errno } from "../errno.ts";
import { SocketError } from "../errno.ts";
import type { Connection } from "../tcp/connection.ts";
import { type EndpointOptions, type Listener, Wake } from "../tcp/endpoint.ts";
import type { Bound } from "../tcp/ports.ts";
import type { Tcp } from "../tcp/tcp.ts";
import {
  type Attempt,
  File,
  type Level,
  type MessageFlags,
  type OptionValue,
  type Outcome,
  type Payload,
  Poll,
  type Wakes,
  fail,
  ok,
} from "./file.ts";
import { TcpOptions } from "./tcpoptions.ts";

const nothing = new Uint8Array(0);
const RD = 1;
const WR = 2;

export class TcpFile extends File {
  readonly options: EndpointOptions = {};
  private readonly settings: TcpOptions;
  /** What bind() took. */
  private bound: Bound | null = null;
  endpoint: Connection | null = null;
  listener: Listener | null = null;
  /** What `accept` answered last. */
  accepted: TcpFile | null = null;
  /** What connect() saw last (enum socket_state): a connection that failed stays "connecting" until it asks again. */
  private phase: "unconnected" | "connecting" | "connected" | "disconnecting" = "unconnected";
  /** bind() named the port: it outlives a disconnection (SOCK_BINDPORT_LOCK). */
  private portLocked = false;
  /** What a connection that was given up left for SO_ERROR. */
  private leftover: Errno | null = null;
  private shut = 0;
  private urgent = false;

  constructor(
    wakes: Wakes,
    private readonly ns: Namespace,
    private readonly stack: Tcp,
  ) {
    super(wakes);
    this.settings = new TcpOptions(this, ns, stack.config);
  }

  override wake(what: number): void {
    if ((what & Wake.Priority) !== 0) this.urgent = true;
    super.wake(what);
  }

  get isListening(): boolean {
    return this.listener !== null;
  }

  /** Whether a handshake is under way. */
  private get isOpening(): boolean {
    const state = this.endpoint?.stateName;
    return state === "SYN-SENT" || state === "SYN-RCVD";
  }

  private get isOver(): boolean {
    return this.endpoint === null || this.endpoint.stateName === "CLOSED";
  }

  // -- names

  bind(address: number, port: number): Outcome {
    const { ns } = this;
    const { reuseAddress, reusePort } = this.options;
    if (address !== 0 && ns.fib.addrType(address) === RouteType.Unicast) {
      if (ns.sysctl.get("net.ipv4.ip_nonlocal_bind") === 0) return fail("EADDRNOTAVAIL");
    }
    if (this.bound !== null || this.listener !== null || !this.isOver) return fail("EINVAL");
    this.bound = this.stack.bind(address, port, reuseAddress, reusePort);
    this.portLocked = port !== 0;
    return ok();
  }

  // -- connections

  listen(backlog: number): Outcome {
    if (this.phase !== "unconnected") return fail("EINVAL");
    if (this.listener !== null) return ok();
    // whoever holds the port beside this socket came by a listener that is gone
    if (this.bound !== null && this.bound.holders > 1 && this.options.reuseAddress !== true) return fail("EADDRINUSE");
    this.bound ??= this.stack.bind(0, 0);
    const { bound } = this;
    this.listener = this.stack.listen(bound.address, bound.port, backlog, this, this.options, bound.hold());
    return ok();
  }

  accept(): Attempt {
    return () => {
      const { listener } = this;
      if (listener === null) return fail("EINVAL");
      const endpoint = listener.accept();
      if (endpoint === null) return null;
      const file = new TcpFile(this.wakes, this.ns, this.stack);
      Object.assign(file.options, this.options);
      file.settings.inherit(this.settings);
      file.adopt(endpoint as Connection);
      file.settings.apply(endpoint as Connection);
      this.accepted = file;
      return { ret: 0, address: endpoint.remoteAddress, port: endpoint.remotePort };
    };
  }

  private adopt(endpoint: Connection): void {
    this.endpoint = endpoint;
    endpoint.owner = this;
    this.phase = "connected";
    this.urgent = this.settings.hasUrgent(endpoint);
  }

  connect(address: number, port: number): Attempt {
    if (this.listener !== null) return () => fail("EISCONN");
    let already: Errno | null = null;
    // without waiting the first call never sees the end, however near the peer is
    let first = this.nonblocking && this.phase === "unconnected";
    if (this.phase === "disconnecting") return () => fail("EINVAL");
    if (this.phase === "connected") return () => fail("EISCONN");
    if (this.phase === "connecting") already = "EALREADY";
    else {
      this.endpoint = this.open(address, port);
      this.settings.apply(this.endpoint);
      this.phase = "connecting";
      this.leftover = null;
    }
    return () => {
      const { endpoint } = this;
      if (endpoint === null) return fail(this.takeError() ?? "ECONNABORTED");
      if (first) {
        first = false;
        return null;
      }
      if (this.isOpening) return already !== null && this.nonblocking ? fail(already) : null;
      this.phase = "connected";
      if (endpoint.stateName !== "CLOSED") return ok();
      this.phase = "unconnected";
      this.shut = 0;
      const errno = endpoint.takeError() ?? "ECONNABORTED";
      this.endpoint = null;
      return fail(errno);
    };
  }

  private open(address: number, port: number): Connection {
    const { bound, options, stack } = this;
    bound?.hold();
    try {
      return stack.connect(address, port, this, {}, options, bound) as Connection;
    } catch (e) {
      bound?.release();
      throw e;
    }
  }

  // -- data

  /** An address beside the data is not looked at, as with TCP on Linux. */
  send(payload: Payload, flags: MessageFlags): Attempt {
    const { bytes, length } = payload;
    let sent = 0;
    if (flags.outOfBand === true && length > 0) return this.sendUrgent(payload);
    return () => {
      const { endpoint } = this;
      try {
        if (endpoint === null) throw new SocketError("EPIPE");
        if (this.isOpening) return null;
        if ((this.shut & WR) !== 0 && endpoint.error === null) throw new SocketError("EPIPE");
        if (flags.more === true) sent += endpoint.writeMore(bytes?.subarray(sent) ?? null, length - sent);
        else if (bytes === null) sent += endpoint.writeZeros(length - sent);
        else sent += endpoint.write(bytes, sent, length - sent);
      } catch (e) {
        if (!(e instanceof SocketError)) throw e;
        return sent > 0 ? ok(sent) : fail(e.code);
      }
      if (sent === length) return ok(sent);
      return sent > 0 && (this.nonblocking || flags.dontWait === true) ? ok(sent) : null;
    };
  }

  private sendUrgent({ bytes, length }: Payload): Attempt {
    return () => {
      const { endpoint } = this;
      if (endpoint === null || ((this.shut & WR) !== 0 && endpoint.error === null)) return fail("EPIPE");
      if (this.isOpening) return null;
      const n = endpoint.writeUrgent(bytes ?? new Uint8Array(Math.min(length, 1 << 20)));
      return n === 0 ? null : ok(n);
    };
  }

  receive(length: number, flags: MessageFlags): Attempt {
    if (flags.errorQueue === true) return () => fail("EAGAIN");
    if (flags.outOfBand === true) return () => this.receiveUrgent(length);
    const parts: Uint8Array[] = [];
    let got = 0;
    const finish = (): Outcome => {
      if (flags.truncate === true) return { ret: got, data: nothing };
      return { ret: got, data: parts.length === 1 ? parts[0]! : joined(parts, got) };
    };
    return () => {
      const { endpoint } = this;
      if (this.listener !== null) return fail("ENOTCONN");
      if (endpoint === null) {
        if (this.leftover !== null) return fail(this.takeError()!);
        return (this.shut & RD) !== 0 ? { ret: 0, data: nothing } : fail("ENOTCONN");
      }
      if (length === 0 && endpoint.readable > 0) return { ret: 0, data: nothing };
      const room = Math.min(endpoint.readable, length - got);
      if (room > 0) {
        // fewer where an urgent byte stands between
        const part = new Uint8Array(room);
        const n = endpoint.read(part, flags.peek === true);
        if (flags.truncate !== true && n > 0) parts.push(part.subarray(0, n));
        got += n;
      }
      // MSG_PEEK sees what is there, once
      const wanted = flags.waitAll === true && flags.peek !== true ? Math.max(length, 1) : 1;
      if (got >= wanted) return finish();
      if (got > 0 && (this.nonblocking || flags.dontWait === true || this.isAtEnd(endpoint))) return finish();
      if (got > 0) return null;
      // the peer's FIN goes before any error (SOCK_DONE)
      if (endpoint.finReceived) return { ret: 0, data: nothing };
      if (endpoint.error !== null) return fail(endpoint.takeError()!);
      if (endpoint.readEnded || (this.shut & RD) !== 0) return { ret: 0, data: nothing };
      if (this.isOver) return fail("ENOTCONN");
      return null;
    };
  }

  private isAtEnd(endpoint: Connection): boolean {
    return endpoint.readEnded || endpoint.error !== null || (this.shut & RD) !== 0 || this.isOver;
  }

  /** tcp_recv_urg */
  private receiveUrgent(length: number): Outcome | null {
    const { endpoint } = this;
    if (endpoint === null || this.listener !== null) return fail(this.listener === null ? "EINVAL" : "ENOTCONN");
    const byte = endpoint.readUrgent();
    if (byte >= 0) {
      this.urgent = false;
      return { ret: Math.min(1, length), data: Uint8Array.of(byte).subarray(0, length) };
    }
    return fail("EINVAL");
  }

  // -- ends

  shutdown(how: number): Outcome {
    const { endpoint, listener } = this;
    if (this.phase === "connecting") this.phase = this.isOpening || this.isOver ? "disconnecting" : "connected";
    if (listener !== null) {
      if ((how & RD) !== 0) {
        listener.close();
        this.listener = null;
        this.shut = 0;
        this.forgetPort();
        this.wakes.woke(this);
      }
      return ok();
    }
    if (endpoint?.stateName === "SYN-SENT") {
      // tcp_disconnect
      endpoint.abort();
      this.endpoint = null;
      this.shut = 0;
      this.phase = "unconnected";
      this.leftover = "ECONNRESET";
      this.wakes.woke(this);
      return ok();
    }
    if (endpoint === null || this.isOver) {
      this.shut |= how;
      return fail("ENOTCONN");
    }
    this.shut |= how;
    if ((how & RD) !== 0) endpoint.shutdownRead();
    if ((how & WR) !== 0) endpoint.shutdownWrite();
    this.wakes.woke(this);
    return ok();
  }

  /** A port that nobody asked for by number is free again. */
  private forgetPort(): void {
    if (this.portLocked) return;
    this.bound?.release();
    this.bound = null;
  }

  /** SO_ERROR */
  takeError(): Errno | null {
    const left = this.leftover;
    this.leftover = null;
    return left ?? this.endpoint?.takeError() ?? null;
  }

  /** It connects, or tried to. */
  get isUnborn(): boolean {
    return this.isOpening || (this.endpoint !== null && this.isOver && this.endpoint.rcvNxt === 0);
  }

  /** With SO_LINGER: 0 s resets, more waits that long for what was written to be acknowledged. */
  close(): Attempt {
    const { endpoint } = this;
    this.listener?.close();
    this.bound?.release();
    this.bound = null;
    if (endpoint === null) return () => ok();
    const [on, seconds] = this.settings.linger;
    if (on !== 0 && seconds === 0) endpoint.abort();
    else endpoint.close();
    if (on === 0 || seconds === 0 || this.nonblocking) return () => ok();
    const { clock } = this.ns.world;
    const until = clock.now + seconds * SECOND;
    clock.at(until, () => {});
    // sk_stream_wait_close: FIN-WAIT-1, CLOSING and LAST-ACK have something to be acknowledged
    return () => {
      const { stateName } = endpoint;
      const waits = stateName === "FIN-WAIT-1" || stateName === "CLOSING" || stateName === "LAST-ACK";
      return waits && clock.now < until ? null : ok();
    };
  }

  /** tcp_poll */
  poll(): number {
    const { endpoint, listener } = this;
    if (listener !== null) return listener.waiting > 0 ? Poll.In | Poll.RdNorm : 0;
    if (endpoint === null && this.leftover !== null) return Poll.Out | Poll.WrNorm | Poll.Hup | Poll.Err;
    if (endpoint === null)
      return Poll.Out | Poll.WrNorm | Poll.Hup | (this.shut & RD ? Poll.In | Poll.RdNorm | Poll.RdHup : 0);
    let bits = 0;
    const over = this.isOver;
    const readShut = endpoint.readEnded || (this.shut & RD) !== 0 || over;
    const writeShut = (this.shut & WR) !== 0 || over;
    if (over || (readShut && writeShut)) bits |= Poll.Hup;
    if (readShut) bits |= Poll.In | Poll.RdNorm | Poll.RdHup;
    if (!this.isOpening) {
      if (endpoint.readable > 0) bits |= Poll.In | Poll.RdNorm;
      // sk_stream_is_writeable: room for at least a third of what the buffer holds
      if (writeShut || (endpoint.writable > 0 && endpoint.writable >= endpoint.unacknowledged >> 1)) {
        bits |= Poll.Out | Poll.WrNorm;
      }
      if (this.urgent && this.settings.hasUrgent(endpoint)) bits |= Poll.Pri;
    }
    if (endpoint.error !== null) bits |= Poll.Err;
    return bits;
  }

  getOption(level: Level, name: string): OptionValue {
    return this.settings.get(level, name);
  }

  setOption(_level: Level, name: string, value: OptionValue): void {
    this.settings.set(name, value);
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}
