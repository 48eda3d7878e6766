// tests/support/node.ts: one namespace whose wires end in the test's hands.

import { parseMac } from "../../src/core/address.ts";
import type { Core } from "../../src/core/core.ts";
import { packetBytes, packetFrom } from "../../src/core/packet.ts";
import { runCommand } from "../../src/host/commands.ts";
import { Namespace } from "../../src/host/namespace.ts";
import type { Interface } from "../../src/link/interface.ts";
import { newWorld } from "../../src/link/newworld.ts";
import type { World } from "../../src/link/world.ts";

export interface Out {
  readonly dev: string;
  readonly hex: string;
}

export class TestNode {
  readonly world: World;
  readonly ns: Namespace;
  /** What left by the wires, in order; `take` empties it. */
  readonly out: Out[] = [];

  constructor(core: Core, name = "node", seed = 1) {
    this.world = newWorld(core, { seed });
    this.ns = new Namespace(name, this.world);
  }

  wire(name: string, mac: string, ...addresses: string[]): Interface {
    const dev = this.ns.addInterface(name, "veth", parseMac(mac)!, 1500);
    dev.peer = {
      receive: (_port, frame) => {
        this.out.push({ dev: name, hex: Buffer.from(packetBytes(this.world.core, frame)).toString("hex") });
        this.world.x.packetFree(frame);
      },
    };
    for (const a of addresses) this.run(`ip addr add ${a} dev ${name}`);
    return dev;
  }

  bridge(name: string, mac: string, ports: readonly Interface[], ...addresses: string[]): Interface {
    const dev = this.ns.addInterface(name, "bridge", parseMac(mac)!, 1500);
    const bridge = this.ns.addBridge(dev);
    for (const p of ports) bridge.addPort(p);
    for (const a of addresses) this.run(`ip addr add ${a} dev ${name}`);
    return dev;
  }

  /** A command, or several; what the last one prints. */
  run(...lines: string[]): string {
    let printed = "";
    for (const line of lines) printed = runCommand(this.ns, line);
    return printed;
  }

  feed(dev: Interface, bytes: Uint8Array | string): void {
    const frame = packetFrom(this.world.core, typeof bytes === "string" ? Buffer.from(bytes, "hex") : bytes);
    if (frame === 0) throw new Error("no packet buffer");
    this.world.backlog.push(dev, 0, frame);
  }

  take(): Out[] {
    return this.out.splice(0);
  }

  /** Runs time on until nothing is left to happen; then no packet may be in use. */
  settle(): number {
    for (let i = 0; i < 100000 && this.world.clock.step(); i++);
    return this.world.x.packetsInUse();
  }
}
