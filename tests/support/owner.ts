// tests/support/owner.ts: a host with devices and nothing else: it counts drops and keeps what its devices sent.

import { Drop } from "../../assembly/drop.ts";
import { formatMac, parseMac } from "../../src/core/address.ts";
import type { Core, Frame } from "../../src/core/core.ts";
import { packetBytes, packetFrom } from "../../src/core/packet.ts";
import { Backlog } from "../../src/link/backlog.ts";
import { Clock } from "../../src/link/clock.ts";
import { Interface, type Owner } from "../../src/link/interface.ts";
import { Rng } from "../../src/link/rng.ts";
import type { TraceKind } from "../../src/link/trace.ts";
import type { World } from "../../src/link/world.ts";

export function makeWorld(core: Core, seed = 1): World {
  return {
    core,
    x: core.x,
    clock: new Clock(),
    rng: new Rng(seed),
    epoch: 0n,
    backlog: new Backlog(),
    tracer: null,
  };
}

export interface Sent {
  readonly dev: string;
  readonly bytes: Uint8Array;
}

export class FakeOwner implements Owner {
  readonly name = "fake";
  readonly drops: Drop[] = [];
  /** What left the devices, in order. */
  readonly sent: Sent[] = [];
  /** What the host's own stack got, with the device it came by. */
  readonly delivered: Sent[] = [];
  readonly traces: string[] = [];
  readonly devices = new Map<string, Interface>();
  /** Takes a frame for the stack; without it the frame is kept in `delivered` and freed. */
  stack: ((dev: Interface, frame: Frame) => void) | null = null;

  constructor(readonly world: World) {}

  drop(frame: Frame, why: Drop): void {
    this.drops.push(why);
    this.world.x.packetFree(frame);
  }

  trace(_kind: TraceKind, _dev: Interface | null, _frame: Frame, text: string): void {
    this.traces.push(text);
  }

  device(name: string, mac: string, kind: "veth" | "bridge" | "loopback" = "veth", mtu = 1500): Interface {
    const dev = new Interface(this, this.devices.size + 1, name, kind, parseMac(mac)!, mtu, (on, frame) => {
      if (this.stack !== null) return this.stack(on, frame);
      this.delivered.push({ dev: on.name, bytes: packetBytes(this.world.core, frame) });
      this.world.x.packetFree(frame);
    });
    if (kind === "veth") {
      dev.peer = {
        receive: (_port, frame) => {
          this.sent.push({ dev: name, bytes: packetBytes(this.world.core, frame) });
          this.world.x.packetFree(frame);
        },
      };
    }
    this.devices.set(name, dev);
    return dev;
  }

  /** A frame from the wire. */
  feed(dev: Interface, bytes: Uint8Array): void {
    const frame = packetFrom(this.world.core, bytes);
    if (frame === 0) throw new Error("no packet buffer");
    dev.receive(0, frame);
  }

  /** Takes what was sent since the last call: `p1 02:..>02:.. 60`. */
  take(): string[] {
    return this.sent.splice(0).map((s) => describeFrame(s));
  }
}

export function describeFrame(s: Sent): string {
  return `${s.dev} ${formatMac(s.bytes, 6)}>${formatMac(s.bytes, 0)} ${s.bytes.length}`;
}

/** A frame of `length` bytes behind the header. */
export function ether(src: string, dst: string, type = 0x88b5, payload: Uint8Array | number = 46): Uint8Array {
  const body = typeof payload === "number" ? Uint8Array.from({ length: payload }, (_, i) => i) : payload;
  const bytes = new Uint8Array(14 + body.length);
  bytes.set(parseMac(dst)!, 0);
  bytes.set(parseMac(src)!, 6);
  bytes[12] = type >> 8;
  bytes[13] = type & 255;
  bytes.set(body, 14);
  return bytes;
}
