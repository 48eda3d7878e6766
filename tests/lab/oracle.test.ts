// Every capture of a real kernel (fixtures/oracle) goes through the emulated node: what comes out must be what the kernel
// sent, byte for byte but for fields that a host chooses freely (src/lab/compare.ts), in order, none missing, none extra.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Core } from "../../src/core/core.ts";
import { buildLab } from "../../src/lab/build.ts";
import { type Comparison, compareFrames } from "../../src/lab/compare.ts";
import { summary } from "../../src/lab/difference.ts";
import { feedCaptures } from "../../src/lab/feed.ts";
import { LabText } from "../../src/lab/read.ts";
import { Replay } from "../../src/lab/replay.ts";
import type { Verification } from "../../src/lab/verify.ts";
import { readChunks } from "../../src/node/files.ts";
import { overBuilds } from "../support/cores.ts";

interface Case {
  readonly capture: string;
  /** Ports of the node's own TCP sockets: their segments are not a function of what it received. */
  readonly ownTcpPorts: number[];
}

const fixtures = join(import.meta.dirname, "../../fixtures");
const sets = ["oracle", "oracle-random"].filter((s) => existsSync(join(fixtures, s, "cases.json")));

/** Source and destination port of a TCP segment; -1 for anything else. */
function tcpPorts(f: Uint8Array): [number, number] {
  if (f[12] !== 8 || f[13] !== 0 || f[23] !== 6) return [-1, -1];
  const l4 = 14 + (f[14]! & 15) * 4;
  return [(f[l4]! << 8) | f[l4 + 1]!, (f[l4 + 2]! << 8) | f[l4 + 3]!];
}

async function replay(core: Core, dir: string, node: string, c: Case): Promise<Map<string, [Comparison, string[]]>> {
  const file = join(dir, "lab.yaml");
  const text = LabText.read(file, readFileSync(file, "utf8"));
  const lab = buildLab(core, text, { only: node });
  const ns = lab.nodes.get(node)!;
  const device = new Replay(lab.world, [ns]);
  const expected = new Map<string, Uint8Array[]>();
  const collector = {
    expect(iface: string, _number: number, frame: Uint8Array): void {
      const list = expected.get(iface) ?? [];
      list.push(frame.slice());
      expected.set(iface, list);
    },
  } as unknown as Verification;
  await feedCaptures(device, [
    { name: c.capture, node: ns, verification: collector, iface: null, chunks: readChunks(join(dir, c.capture)) },
  ]);
  const own = new Set(c.ownTcpPorts);
  for (const choice of text.file.nodes[node]?.nat_choices ?? []) {
    if (choice.proto === "tcp" && own.has(choice.sport_or_id)) own.add(choice.new_sport_or_id);
  }
  const local = new Set(ns.interfaces.flatMap((dev) => ns.fib.addresses(dev).map((a) => a.local)));
  const results = new Map<string, [Comparison, string[]]>();
  for (const dev of ns.interfaces) {
    if (dev.kind !== "veth") continue;
    const foreign = (f: Uint8Array): boolean => !tcpPorts(f).some((p) => own.has(p));
    const e = (expected.get(dev.name) ?? []).filter(foreign);
    const g = device.sent
      .filter((s) => s.iface === dev.name)
      .map((s) => s.bytes)
      .filter(foreign);
    const r = compareFrames(e, g, local);
    const detail = [
      ...r.missing.map((i) => `missing ${summary(e[i]!)}`),
      ...r.extra.map((i) => `extra ${summary(g[i]!)}`),
    ];
    results.set(dev.name, [r, detail]);
  }
  return results;
}

overBuilds("the kernel's captures", (make) => {
  for (const set of sets) {
    const cases = JSON.parse(readFileSync(join(fixtures, set, "cases.json"), "utf8")) as Record<string, Case>;
    for (const [name, c] of Object.entries(cases)) {
      it(`${set}/${name}`, async () => {
        const core = make();
        const dot = name.lastIndexOf(".");
        const results = await replay(core, join(fixtures, set, name), name.slice(dot + 1), c);
        let compared = 0;
        for (const [iface, [r, detail]] of results) {
          expect({ iface, detail, reordered: r.reordered }).toEqual({ iface, detail: [], reordered: 0 });
          compared += r.exact + r.id + r.rand;
        }
        expect(compared).toBeGreaterThan(0);
        expect(core.x.packetsExhausted()).toBe(0);
      });
    }
  }
});
