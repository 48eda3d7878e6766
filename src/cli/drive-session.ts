// src/cli/drive-session.ts: protocol pdsut/1: one request in, one reply out, in virtual time.

import { Pkt } from "../../assembly/layout.ts";
import { formatIpv4 } from "../core/address.ts";
import type { Core, Frame } from "../core/core.ts";
import { packetFrom } from "../core/packet.ts";
import { US } from "../link/clock.ts";
import type { Interface } from "../link/interface.ts";
import type { World } from "../link/world.ts";
import { TcpFile } from "../transport/posix/tcpfile.ts";
import { Posix } from "../transport/posix/posix.ts";
import type { TcpState } from "../transport/tcp/endpoint.ts";
import { Tcp } from "../transport/tcp/tcp.ts";
import { Udp } from "../transport/udp.ts";
import { type Result, call } from "./drive-calls.ts";
import { START, buildHost } from "./drive-config.ts";
import { Fault, type Json, Members, isObject } from "./drive-json.ts";

/** The clock counts nanoseconds exactly up to 2^53. */
const lastMicrosecond = Math.floor((Number.MAX_SAFE_INTEGER - START) / US);
/** Timers that one `advance` runs at most: what needs more does not end. */
const maxSteps = 50_000_000;
const maxFrame = 65535 + 18;
/** Bytes of tables and packets in use that stacks before this one may have left in the core. */
const arenaLimit = 32 << 20;
const packetLimit = 256;
const maxCall = Number.MAX_SAFE_INTEGER;

/** The kernel's names (include/net/tcp_states.h). */
const stateNames: Readonly<Record<TcpState, string>> = {
  CLOSED: "CLOSE",
  LISTEN: "LISTEN",
  "SYN-SENT": "SYN_SENT",
  "SYN-RCVD": "SYN_RECV",
  ESTABLISHED: "ESTABLISHED",
  "FIN-WAIT-1": "FIN_WAIT1",
  "FIN-WAIT-2": "FIN_WAIT2",
  "CLOSE-WAIT": "CLOSE_WAIT",
  CLOSING: "CLOSING",
  "LAST-ACK": "LAST_ACK",
  "TIME-WAIT": "TIME_WAIT",
};

/** What a transmission or completed call is told as. */
interface Sent {
  t: number;
  dev: string;
  data: string;
}

export class Session {
  private world!: World;
  private posix!: Posix;
  private tcp!: Tcp;
  private core: Core | null = null;
  private devices = new Map<string, Interface>();
  private tx: Sent[] = [];
  private done: Result[] = [];

  /** `newCore` makes a core. */
  constructor(private readonly newCore: () => Core) {
    this.reset({});
  }

  /** A line of the runner's; the line that answers it. */
  answer(line: string): string {
    try {
      let request: Json;
      try {
        request = JSON.parse(line) as Json;
      } catch (e) {
        throw new Fault(`no JSON: ${(e as Error).message}`);
      }
      if (!isObject(request)) throw new Fault("expected an object");
      return this.reply(this.run(new Members(request)));
    } catch (e) {
      // whatever a request does, the next one is answered as well
      if (!(e instanceof Fault) && process.env["WIREPATH_DEBUG"] !== undefined) console.error(e);
      return JSON.stringify({ error: e instanceof Error ? e.message : String(e) });
    }
  }

  private run(m: Members): Record<string, Json> {
    const op = m.text("op");
    switch (op) {
      case "hello":
        return { name: "wirepath", proto: "pdsut/1", caps: ["ip", "eth", "info", "conns"] };
      case "reset": {
        const cfg = m.o["cfg"] ?? {};
        if (!isObject(cfg)) throw new Fault("'cfg': expected an object");
        const ignored = this.reset(cfg);
        return ignored.length > 0 ? { ignored } : {};
      }
      case "rx":
        this.receive(m);
        return {};
      case "advance":
        this.advance(m.integer("to", 0, lastMicrosecond), m.boolean("stop_on_tx", false));
        return {};
      case "next": {
        const at = this.world.clock.next();
        return { timer: at === Infinity ? null : microseconds(at) };
      }
      case "call":
        return this.call(m);
      case "info":
        return { info: this.info(m.integer("fd", -1, 2 ** 31 - 1)) };
      case "conns":
        return { conns: this.connections() };
      default:
        throw new Fault(`'op': '${op}' is none, expected one of hello reset rx advance next call info conns`);
    }
  }

  /** The reply with what happened since the last one. */
  private reply(members: Record<string, Json>): string {
    const reply: Record<string, unknown> = { now: microseconds(this.world.clock.now) };
    Object.assign(reply, members);
    if (this.tx.length > 0) reply["tx"] = this.tx;
    if (this.done.length > 0) reply["done"] = this.done;
    const line = JSON.stringify(reply);
    if (this.tx.length > 0) this.tx = [];
    if (this.done.length > 0) this.done = [];
    return line;
  }

  // -- operations

  private reset(cfg: Record<string, Json>): string[] {
    const host = buildHost(this.freshCore(), cfg);
    const { ns } = host;
    this.world = ns.world;
    this.tcp = ns.transports.tcp = new Tcp(ns, host.tcp);
    this.posix = new Posix(ns, new Udp(ns), this.tcp);
    this.tx = [];
    this.done = [];
    this.devices = new Map();
    for (const dev of host.devices) {
      this.devices.set(dev.name, dev);
      dev.peer = { receive: (_port, frame) => this.transmitted(dev, frame) };
    }
    return host.ignored;
  }

  /** A core that has room: one serves many stacks one after the other, what the old ones held being little. */
  private freshCore(): Core {
    const old = this.core;
    const full = old === null || old.x.arenaUsed() > arenaLimit || old.x.packetsInUse() > packetLimit;
    return full ? (this.core = this.newCore()) : old;
  }

  private transmitted(dev: Interface, frame: Frame): void {
    const { core, x, clock } = this.world;
    const at = core.u32[(frame + Pkt.Data) >> 2]!;
    const length = core.u32[(frame + Pkt.Len) >> 2]!;
    const data = Buffer.from(core.u8.buffer, at, length).toString("hex");
    this.tx.push({ t: microseconds(clock.now), dev: dev.name, data });
    x.packetFree(frame);
  }

  private receive(m: Members): void {
    const { core, backlog } = this.world;
    const name = m.text("dev");
    const dev = this.devices.get(name);
    if (dev === undefined) throw new Fault(`'dev': there is no '${name}'`);
    const bytes = m.hex("data");
    if (bytes.length > maxFrame) throw new Fault(`'data': ${bytes.length} bytes are no frame`);
    const frame = packetFrom(core, bytes);
    if (frame === 0) throw new Fault("no buffer for the packet");
    backlog.push(dev, 0, frame);
    this.settle();
  }

  /** What follows at this instant: events without delay, calls that can go on. */
  private settle(): void {
    const { clock } = this.world;
    this.posix.settle();
    for (let steps = 0; clock.next() <= clock.now; steps++) {
      if (steps >= maxSteps) throw new Fault("too many events at one instant");
      clock.step();
      this.posix.settle();
    }
  }

  private advance(to: number, stop: boolean): void {
    const { clock } = this.world;
    const until = START + to * US;
    if (until < clock.now) throw new Fault(`'to': ${to} is past, it is ${microseconds(clock.now)}`);
    let end = until;
    for (let steps = 0; clock.next() <= end; steps++) {
      if (steps >= maxSteps) throw new Fault("advance: too many timers");
      clock.step();
      this.posix.settle();
      // the rest of this microsecond still happens
      if (stop && end === until && (this.tx.length > 0 || this.done.length > 0)) {
        end = Math.min(until, START + microseconds(clock.now) * US);
      }
    }
    clock.advance(end);
    this.posix.settle();
  }

  private call(m: Members): Record<string, Json> {
    const number = m.integer("call", -maxCall, maxCall);
    const result = call(this.posix, m.text("fn"), m, (late) => {
      this.done.push({ call: number, t: microseconds(this.world.clock.now), ...late });
    });
    this.settle();
    return result ?? { pending: true };
  }

  private info(fd: number): Record<string, Json> {
    const file = this.posix.file(fd);
    if (!(file instanceof TcpFile)) throw new Fault(`'fd': ${fd} is no stream socket`);
    if (file.listener !== null) return { state: "LISTEN", tcpi_unacked: file.listener.waiting };
    if (file.endpoint === null) return { state: "CLOSE" };
    return { ...file.endpoint.info(), state: stateNames[file.endpoint.stateName] };
  }

  private connections(): Json {
    const name = ([address, port]: readonly [number, number]): string => `${formatIpv4(address)}:${port}`;
    const list: Json[] = [];
    for (const c of this.tcp.list()) {
      list.push({ local: name(c.local), remote: name(c.remote), state: stateNames[c.state] });
    }
    return list;
  }
}

/** The microsecond that a time belongs to: what happens inside of one is seen at its end. */
function microseconds(ns: number): number {
  return Math.ceil((ns - START) / US);
}
