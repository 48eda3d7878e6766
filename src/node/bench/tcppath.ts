// src/node/bench/tcppath.ts: two hosts that speak TCP: through the docker path, or on one wire.

import { formatIpv4, parseIpv4 } from "../../core/address.ts";
import type { Core } from "../../core/core.ts";
import { buildLab } from "../../lab/build.ts";
import { LabText } from "../../lab/read.ts";
import type { Clock } from "../../link/clock.ts";
import type { Endpoint, Owner } from "../../transport/tcp/endpoint.ts";
import { Tcp } from "../../transport/tcp/tcp.ts";
import { HOST, labText, PAIR, pairText, TCP_PORT, WEB_PORT } from "./dockerlab.ts";
import { now } from "./measure.ts";

const SMALL = 64;
const SOME = 1_000_000;
const ROOM = 1 << 18;
const MS = 1_000_000;
const SECOND = 1_000_000_000;
/** Longer than TIME-WAIT lasts. */
const WAIT = 61 * SECOND;
/** After so many connections, time for those that ended to be forgotten. */
const BATCH = 1024;
const BASIS = 2166136261;

/** FNV-1a over the first `n` bytes. */
function fnv(h: number, bytes: Uint8Array, n: number): number {
  for (let i = 0; i < n; i++) h = Math.imul(h ^ bytes[i]!, 16777619);
  return h >>> 0;
}

const ignore = (): void => {};

/** A server end that reads all there is, and sends it back if it is asked to. */
class Service implements Owner {
  constructor(
    private readonly path: TcpPath,
    private readonly end: Endpoint,
  ) {}

  wake(): void {
    const { end, path } = this;
    const { buffer } = path;
    let n: number;
    while ((n = end.read(buffer)) > 0) {
      path.came += n;
      if (path.checking) path.sum = fnv(path.sum, buffer, n);
      if (path.echo) end.write(buffer, 0, n);
    }
    if (end.readEnded) end.close();
  }
}

/** Closes the connection once it is established. */
class Greeter implements Owner {
  end: Endpoint | null = null;

  constructor(private readonly path: TcpPath) {}

  wake(): void {
    if (this.end!.stateName !== "ESTABLISHED") return;
    this.path.established++;
    this.end!.close();
  }
}

export class TcpPath {
  readonly clock: Clock;
  readonly client: Tcp;
  readonly web: Tcp;
  /** What the client connects to. */
  readonly address: number;
  readonly port: number;
  /** Bytes that the server has read, and their sum where it is asked for. */
  came = 0;
  checking = false;
  sum = 0;
  echo = false;
  established = 0;
  readonly buffer = new Uint8Array(ROOM);

  /** `accepts` takes a server's connections in place of the service that reads and echoes. */
  constructor(
    readonly core: Core,
    docker: boolean,
    accepts?: (end: Endpoint) => Owner,
  ) {
    const lab = buildLab(core, LabText.read("tcp", docker ? labText() : pairText()));
    const [a, b] = [lab.nodes.get("client")!, lab.nodes.get("web0")!];
    this.clock = lab.world.clock;
    a.transports.tcp = this.client = new Tcp(a);
    b.transports.tcp = this.web = new Tcp(b);
    this.address = parseIpv4(docker ? HOST : PAIR.web)!;
    this.port = docker ? TCP_PORT : WEB_PORT;
    const serve = accepts ?? ((end: Endpoint): Owner => new Service(this, end));
    const listener = this.web.listen(0, WEB_PORT, 4096, {
      wake() {
        for (let end = listener.accept(); end !== null; end = listener.accept()) {
          end.owner = serve(end);
          end.owner.wake(0);
        }
      },
    });
  }

  connect(owner: Owner): Endpoint {
    return this.client.connect(this.address, this.port, owner);
  }

  /** A connection that is established. */
  open(): Endpoint {
    const end = this.connect({ wake: ignore });
    while (end.stateName === "SYN-SENT" && this.clock.step());
    if (end.stateName !== "ESTABLISHED") throw new Error(`tcp: no connection: ${end.error ?? end.stateName}`);
    end.setNoDelay(true);
    return end;
  }

  /** Virtual time until all that waits for a while is over. */
  rest(): void {
    this.clock.advance(this.clock.now + WAIT);
  }

  /** Gbit/s of so many bytes from the client's program to the server's. */
  bulk(bytes: number): number {
    const { clock, buffer } = this;
    this.echo = false;
    const before = this.came;
    let left = bytes;
    const from = now();
    const end = this.open();
    const push = (): void => {
      while (left > 0) {
        const n = end.write(buffer, 0, Math.min(left, ROOM));
        if (n === 0) return;
        left -= n;
      }
      end.close();
    };
    end.owner = { wake: push };
    push();
    while (this.came - before < bytes && clock.step());
    const ms = now() - from;
    if (this.came - before !== bytes) throw new Error(`tcp: of ${bytes} bytes ${this.came - before} came`);
    this.rest();
    return (bytes * 8) / ms / 1e6;
  }

  /** Thousand round trips a second of 64 bytes there and back. */
  pingpong(n: number): number {
    const { clock, buffer } = this;
    this.echo = true;
    const data = new Uint8Array(SMALL);
    const end = this.open();
    const trips = { left: n, got: 0 };
    end.owner = {
      wake() {
        trips.got += end.read(buffer);
        if (trips.got < SMALL) return;
        trips.got -= SMALL;
        if (--trips.left > 0) end.write(data);
      },
    };
    const from = now();
    end.write(data);
    while (trips.left > 0 && clock.step());
    const ms = now() - from;
    if (trips.left > 0) throw new Error(`tcp: ${trips.left} round trips are missing`);
    end.close();
    this.rest();
    return n / ms;
  }

  /** Thousand connections a second, each opened, closed by both ends, and forgotten after TIME-WAIT. */
  connections(n: number): number {
    const { clock } = this;
    this.echo = false;
    this.established = 0;
    const from = now();
    for (let i = 1; i <= n; i++) {
      const owner = new Greeter(this);
      owner.end = this.connect(owner);
      while (this.established < i && clock.step());
      if (i % BATCH === 0) this.rest();
    }
    clock.advance(clock.now + MS);
    const ms = now() - from;
    if (this.established !== n) throw new Error(`tcp: of ${n} connections ${this.established} were made`);
    this.rest();
    return n / ms;
  }

  /** Opens connections that stay, with a hundred bytes there and back; whoever answers must keep the result. */
  idle(n: number): Endpoint[] {
    const { clock, buffer } = this;
    this.echo = true;
    const data = new Uint8Array(100);
    const ends: Endpoint[] = [];
    const owner: Owner = { wake: ignore };
    for (let i = 0; i < n; i++) {
      const end = this.open();
      end.owner = owner;
      end.write(data);
      clock.advance(clock.now + 1000);
      if (end.read(buffer) !== data.length) throw new Error("tcp: no echo");
      ends.push(end);
    }
    clock.advance(clock.now + SECOND);
    return ends;
  }

  /** What comes of one connection, in the words of bench/tcpbench.c. */
  seen(kind: "bulk" | "pingpong" | "connections"): string {
    const { clock } = this;
    const n = kind === "bulk" ? SOME : kind === "pingpong" ? SMALL : 0;
    const data = Uint8Array.from({ length: n }, (_, i) => i * 31 + 7);
    this.echo = kind === "pingpong";
    this.checking = true;
    this.sum = BASIS;
    const before = this.came;
    const end = this.open();
    const [row] = this.web.list().filter((r) => r.state === "ESTABLISHED");
    let at = 0;
    const push = (): void => {
      at += end.write(data, at);
      if (at === n && !this.echo) end.close();
    };
    end.owner = { wake: push };
    push();
    clock.advance(clock.now + SECOND);
    let back = "";
    if (this.echo) {
      const got = end.read(this.buffer);
      back = `, back ${fnv(BASIS, this.buffer, got)}`;
      end.close();
    }
    this.rest();
    this.checking = false;
    return `${this.came - before} bytes, sum ${this.sum}, from ${formatIpv4(row!.remote[0])}${back}`;
  }
}
