// src/node/testlab.ts: a lab inside a test: real programs in virtual time, faults, and what happened on the wires.

import { readFileSync, writeFileSync } from "node:fs";
import type { Agent, AgentOptions } from "node:http";
import { Drop } from "../../assembly/drop.ts";
import { compileFilter, LinkType, loadFilter, matches, unloadFilter } from "../capture/filter/index.ts";
import { formatIpv4 } from "../core/address.ts";
import { runCommand } from "../host/commands.ts";
import type { Namespace } from "../host/namespace.ts";
import { buildLab, type Lab } from "../lab/build.ts";
import { LabText } from "../lab/read.ts";
import { DEFAULT_SEED } from "../link/newworld.ts";
import { type Link, partition, type Partition } from "../link/wire.ts";
import type { World } from "../link/world.ts";
import { type Host, hostOf } from "../socket/host.ts";
import { type Record as Recorded, Recorder } from "../trace/recorder.ts";
import { loadCore } from "./core.ts";
import { Driver, type DriveOptions } from "./driver.ts";
import { nodePlatform } from "./platform.ts";
import { hostAgent, listenOn, type TakesConnections } from "./programs.ts";

export interface TestLabOptions {
  /** What the world's chance comes from; "random" takes another one each time. WIREPATH_SEED goes before it. */
  readonly seed?: number | "random";
  /** Frames that are kept for the capture, the last ones. Default 200,000; 0: nothing is recorded, drops neither. */
  readonly frames?: number;
}

export interface DropEvent {
  /** Seconds of virtual time. */
  readonly time: number;
  readonly node: string;
  readonly iface: string;
  readonly reason: string;
}

/** A frame at a device, as the capture has it. */
export interface Frame {
  /** Seconds of virtual time. */
  readonly time: number;
  /** `NODE:DEVICE` */
  readonly at: string;
  readonly direction: "in" | "out";
  readonly bytes: Uint8Array;
  readonly comments: readonly string[];
}

const NS = 1e9;

export class TestLab {
  readonly seed: number;
  readonly lab: Lab;
  readonly world: World;
  /** Every packet that was dropped, and why. */
  readonly drops: DropEvent[] = [];
  private readonly recorder: Recorder;
  private readonly driver: Driver;
  private readonly partitions: Partition[] = [];

  constructor(text: LabText, options: TestLabOptions = {}) {
    this.seed = seedFrom(options.seed ?? DEFAULT_SEED);
    this.lab = buildLab(loadCore(), text, { seed: this.seed });
    this.world = this.lab.world;
    this.recorder = new Recorder(this.world);
    this.driver = new Driver(this.world);
    const most = options.frames ?? 200_000;
    if (most > 0) this.record(most);
    const names = new Map<string, string[]>();
    for (const [name, ns] of this.lab.nodes) {
      const all = ns.interfaces.filter((dev) => dev.kind !== "loopback").flatMap((dev) => ns.fib.addresses(dev));
      names.set(
        name,
        all.map((a) => formatIpv4(a.local)),
      );
    }
    for (const name of this.lab.nodes.keys()) {
      const { hosts } = this.host(name).dns;
      for (const [other, addresses] of names) if (addresses.length > 0) hosts.set(other, addresses);
    }
  }

  private record(most: number): void {
    const { records } = this.recorder;
    this.world.tracer = (e) => {
      this.recorder.event(e);
      if (e.kind === "drop") {
        this.drops.push({ time: e.time / NS, node: e.node, iface: e.iface, reason: Drop[e.drop] });
      }
      if (records.length > 2 * most) records.splice(0, records.length - most);
    };
  }

  /** Virtual time in seconds. */
  get time(): number {
    return this.world.clock.now / NS;
  }

  node(name: string): Namespace {
    const ns = this.lab.nodes.get(name);
    if (ns === undefined)
      throw new Error(`the lab has no node '${name}', it has ${[...this.lab.nodes.keys()].join(", ")}`);
    return ns;
  }

  /** The node as programs see it: `net`, `dgram`, `dns`. Every node knows every other by name. */
  host(name: string): Host {
    return hostOf(this.node(name), nodePlatform);
  }

  /** An http.Agent whose connections come from the node. */
  agent(name: string, options?: AgentOptions): Agent {
    return hostAgent(this.host(name), options);
  }

  /** Lets a server that was made without a network (`http.createServer()`) listen on the node's port. */
  listen(name: string, port: number, server: TakesConnections): void {
    listenOn(this.host(name), port, server);
  }

  /** A command on the node, in its tool's words: `ip route ...`, `tc qdisc ...`, `iptables ...`. */
  exec(name: string, line: string): string {
    let printed = "";
    this.world.backlog.hold(() => (printed = runCommand(this.node(name), line)));
    return printed;
  }

  /**
   * Runs `work` in virtual time until its promise settles: its timers and clocks are the world's. Rejects when nothing is
   * left to happen. `until` in seconds of virtual time since the lab's start.
   */
  run<T>(work: () => T | PromiseLike<T>, options: { until?: number } = {}): Promise<T> {
    const drive: DriveOptions = options.until === undefined ? {} : { until: options.until * NS };
    return this.driver.run(work, drive);
  }

  /** Time stands still until the promise settles: for work that the driver cannot see. */
  during<T>(promise: PromiseLike<T>): Promise<T> {
    return this.driver.during(promise);
  }

  /** The link between two nodes, or at `NODE:DEVICE`. */
  link(a: string, b?: string): Link {
    const ends = (l: Link): string[] => [l.a, l.b].flatMap((d) => [d.owner.name, `${d.owner.name}:${d.name}`]);
    const found = this.lab.links.filter((l) => ends(l).includes(a) && (b === undefined || ends(l).includes(b)));
    const what = b === undefined ? a : `${a} and ${b}`;
    if (found.length !== 1) throw new Error(`${found.length === 0 ? "no link" : "more than one link"} at ${what}`);
    return found[0]!;
  }

  /** Cuts every link between the nodes on the left and those on the right, until it or all are healed. */
  partition(left: readonly string[], right: readonly string[]): Partition {
    for (const name of [...left, ...right]) this.node(name);
    const p = partition(this.lab.links, left, right);
    this.partitions.push(p);
    return p;
  }

  /** Ends all partitions. */
  heal(): void {
    for (const p of this.partitions.splice(0)) p.heal();
  }

  /** What passed by a device (`NODE:DEVICE`, a node, or everywhere) and matches a capture filter (pcap-filter(7)). */
  frames(where: { at?: string; filter?: string } = {}): Frame[] {
    const { at, filter } = where;
    const { core, x } = this.world;
    const loaded = filter === undefined ? null : loadFilter(core, compileFilter(filter, LinkType.Ethernet));
    const room = x.alloc(65_600) >>> 0;
    try {
      return this.recorder.records
        .filter((r) => at === undefined || at === r.node || at === `${r.node}:${r.iface}`)
        .filter((r) => {
          if (loaded === null) return true;
          core.u8.set(r.bytes, room);
          return matches(loaded, room, r.bytes.length, r.bytes.length);
        })
        .map(frameOf);
    } finally {
      x.release(room, 65_600);
      if (loaded !== null) unloadFilter(loaded);
    }
  }

  /** A `keylog` listener: the capture will hold these secrets, so that tshark decrypts it. */
  get keyLog(): (line: Uint8Array) => void {
    return this.recorder.keyLog;
  }

  /** Writes the capture: an interface a device, comments on what was changed or dropped, names, secrets. */
  save(path: string): void {
    const chunks: Uint8Array[] = [];
    this.recorder.write((c) => chunks.push(c), this.lab.nodes.values());
    writeFileSync(path, Buffer.concat(chunks));
  }

  /** Ends what its programs' timers would still do. */
  close(): void {
    this.driver.time.clearAll();
    this.world.tracer = null;
  }
}

function frameOf(r: Recorded): Frame {
  const { time, node, iface, direction, bytes, comments } = r;
  return { time: time / NS, at: `${node}:${iface}`, direction: direction === 1 ? "in" : "out", bytes, comments };
}

/** WIREPATH_SEED replays a run. */
function seedFrom(seed: number | "random"): number {
  const told = process.env["WIREPATH_SEED"];
  if (told !== undefined && told !== "") {
    const n = Number(told);
    if (!Number.isInteger(n)) throw new Error(`WIREPATH_SEED '${told}': expected an integer`);
    return n;
  }
  return seed === "random" ? Math.floor(Math.random() * 2 ** 31) : seed;
}

/** A lab from its file's path, its text, or the same as an object. */
export function testLab(lab: string | URL | object, options?: TestLabOptions): TestLab {
  if (lab instanceof URL) return new TestLab(LabText.read(lab.pathname, readFileSync(lab, "utf8")), options);
  if (typeof lab !== "string") return new TestLab(LabText.read("lab", JSON.stringify(lab)), options);
  const isText = /[\n{]/.test(lab);
  return new TestLab(LabText.read(isText ? "lab" : lab, isText ? lab : readFileSync(lab, "utf8")), options);
}
