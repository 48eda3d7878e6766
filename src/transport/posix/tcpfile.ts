// src/transport/posix/tcpfile.ts: a SOCK_STREAM socket behind a descriptor (inet_stream_connect, tcp_sendmsg, tcp_recvmsg,
// tcp_poll decide what waits and what fails how).

import type { Namespace } from "../../host/namespace.ts";
import { RouteType } from "../../host/fib/route.ts";
import { SECOND } from "../../link/clock.ts";
import type { Errno } from "../errno.ts";
import { SocketError } from "../errno.ts";
import { type Endpoint, type EndpointOptions, type Listener, type Stack, Wake } from "../tcp/endpoint.ts";
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
  boundAddress = 0;
  boundPort = 0;
  endpoint: Endpoint | null = null;
  listener: Listener | null = null;
  /** What `accept` answered last. */
  accepted: TcpFile | null = null;
  private connecting = false;
  /** The peer's FIN was seen before any error (SOCK_DONE). */
  private done = false;
  private shut = 0;
  private urgent = false;

  constructor(
    wakes: Wakes,
    private readonly ns: Namespace,
    private readonly stack: Stack,
    private readonly others: () => Iterable<TcpFile>,
  ) {
    super(wakes);
    this.settings = new TcpOptions(this, ns);
  }

  override wake(what: number): void {
    if ((what & Wake.Priority) !== 0) this.urgent = true;
    if (this.endpoint !== null && this.endpoint.readEnded && this.endpoint.error === null) this.done = true;
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
    if (address !== 0) {
      const type = ns.fib.addrType(address);
      const nobody = type !== RouteType.Local && type !== RouteType.Multicast && type !== RouteType.Broadcast;
      if (nobody && ns.sysctl.get("net.ipv4.ip_nonlocal_bind") === 0) return fail("EADDRNOTAVAIL");
    }
    if (this.boundPort !== 0 || this.listener !== null || this.endpoint !== null) return fail("EINVAL");
    if (port !== 0 && this.isTaken(address, port)) return fail("EADDRINUSE");
    this.boundAddress = address;
    this.boundPort = port;
    return ok();
  }

  /** inet_csk_bind_conflict */
  private isTaken(address: number, port: number): boolean {
    const { reuseAddress, reusePort } = this.options;
    const meets = (a: number): boolean => a === 0 || address === 0 || a === address;
    const files = new Set<string>();
    for (const f of this.others()) {
      if (f === this) continue;
      const local = f.endpoint ?? f.listener;
      const at = local === null ? f.boundAddress : local.localAddress;
      const own = local === null ? f.boundPort : local.localPort;
      if (own !== port || !meets(at)) continue;
      if (f.endpoint !== null) files.add(`${f.endpoint.remoteAddress}:${f.endpoint.remotePort}`);
      const both = f.options.reuseAddress === true && reuseAddress === true && f.listener === null;
      if (!both && !(f.options.reusePort === true && reusePort === true)) return true;
    }
    // what nobody holds any more: TIME-WAIT, orphans
    for (const c of this.stack.list()) {
      if (c.local[1] !== port || !meets(c.local[0]) || files.has(`${c.remote[0]}:${c.remote[1]}`)) continue;
      if (c.state !== "LISTEN" && reuseAddress !== true) return true;
    }
    return false;
  }

  // -- connections

  listen(backlog: number): Outcome {
    if (this.endpoint !== null && !this.isOver) return fail("EINVAL");
    if (this.listener !== null) return ok();
    this.listener = this.stack.listen(this.boundAddress, this.boundPort, backlog, this, this.options);
    this.boundPort = this.listener.localPort;
    this.shut = 0;
    return ok();
  }

  accept(): Attempt {
    return () => {
      const { listener } = this;
      if (listener === null) return fail("EINVAL");
      const endpoint = listener.accept();
      if (endpoint === null) return null;
      const file = new TcpFile(this.wakes, this.ns, this.stack, this.others);
      Object.assign(file.options, this.options);
      file.settings.inherit(this.settings);
      file.adopt(endpoint);
      this.accepted = file;
      return { ret: 0, address: endpoint.remoteAddress, port: endpoint.remotePort };
    };
  }

  private adopt(endpoint: Endpoint): void {
    this.endpoint = endpoint;
    endpoint.owner = this;
    this.boundAddress = endpoint.localAddress;
    this.boundPort = endpoint.localPort;
    this.done = endpoint.readEnded && endpoint.error === null;
    this.urgent = this.settings.hasUrgent(endpoint);
  }

  connect(address: number, port: number): Attempt {
    if (this.listener !== null) return () => fail("EISCONN");
    let already: Errno | null = null;
    if (this.endpoint !== null) {
      if (!this.connecting) return () => fail("EISCONN");
      already = "EALREADY";
    } else {
      const local = {
        address: this.boundAddress,
        port: this.boundPort,
        reuse: this.options.reuseAddress === true,
      };
      this.endpoint = this.stack.connect(address, port, this, local, this.options);
      this.settings.apply(this.endpoint);
      this.connecting = true;
      this.done = false;
      this.shut = 0;
    }
    return () => {
      const { endpoint } = this;
      if (endpoint === null) return fail("ECONNABORTED");
      if (this.isOpening) return already !== null && this.nonblocking ? fail(already) : null;
      this.connecting = false;
      if (endpoint.stateName !== "CLOSED") {
        this.boundAddress = endpoint.localAddress;
        this.boundPort = endpoint.localPort;
        return ok();
      }
      const errno = endpoint.takeError() ?? "ECONNABORTED";
      this.endpoint = null;
      return fail(errno);
    };
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
        if (flags.more === true) endpoint.setCork(true);
        do {
          const n = bytes === null ? endpoint.writeZeros(length - sent) : endpoint.write(bytes, sent, length - sent);
          sent += n;
          if (n === 0) break;
        } while (sent < length);
        if (flags.more !== true && !this.settings.cork) endpoint.setCork(false);
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
      if (this.endpoint === null || (this.shut & WR) !== 0) return fail("EPIPE");
      if (this.isOpening) return null;
      const n = this.endpoint.writeUrgent(bytes ?? new Uint8Array(Math.min(length, 1 << 20)));
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
      if (this.listener !== null || endpoint === null) return fail("ENOTCONN");
      if (length === 0) return { ret: 0, data: nothing };
      const n = Math.min(endpoint.readable, length - got);
      if (n > 0) {
        if (flags.truncate === true && flags.peek !== true) endpoint.discard(n);
        else if (flags.truncate !== true) {
          const part = new Uint8Array(n);
          endpoint.read(part, flags.peek === true);
          parts.push(part);
        }
        got += n;
      }
      // MSG_PEEK sees what is there, once
      const wanted = flags.waitAll === true && flags.peek !== true ? length : 1;
      if (got >= wanted) return finish();
      if (got > 0 && (this.nonblocking || flags.dontWait === true || this.isAtEnd(endpoint))) return finish();
      if (got > 0) return null;
      if (this.done) return { ret: 0, data: nothing };
      const errno = endpoint.takeError();
      if (errno !== null) return fail(errno);
      if (endpoint.readEnded || (this.shut & RD) !== 0) return { ret: 0, data: nothing };
      if (this.isOver) return fail("ENOTCONN");
      return null;
    };
  }

  private isAtEnd(endpoint: Endpoint): boolean {
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
    if (listener !== null) {
      if ((how & RD) !== 0) {
        listener.close();
        this.listener = null;
        this.shut |= how;
        this.wakes.woke(this);
      }
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

  /** With SO_LINGER: 0 s resets, more waits that long for what was written to be acknowledged. */
  close(): Attempt {
    const { endpoint } = this;
    this.listener?.close();
    if (endpoint === null) return () => ok();
    const [on, seconds] = this.settings.linger;
    if (on !== 0 && seconds === 0) endpoint.abort();
    else endpoint.close();
    if (on === 0 || seconds === 0 || this.nonblocking) {
      endpoint.owner = null;
      return () => ok();
    }
    const { clock } = this.ns.world;
    const until = clock.now + seconds * SECOND;
    clock.at(until, () => this.wakes.woke(this));
    // sk_stream_wait_close: FIN-WAIT-1, CLOSING and LAST-ACK have something to be acknowledged
    return () => {
      const { stateName } = endpoint;
      const waits = stateName === "FIN-WAIT-1" || stateName === "CLOSING" || stateName === "LAST-ACK";
      if (waits && clock.now < until) return null;
      endpoint.owner = null;
      return ok();
    };
  }

  /** tcp_poll */
  poll(): number {
    const { endpoint, listener } = this;
    if (listener !== null) return listener.waiting > 0 ? Poll.In | Poll.RdNorm : 0;
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
