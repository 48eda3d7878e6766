import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildLab } from "../../src/lab/build.ts";
import { printLab } from "../../src/lab/print.ts";
import { LabText } from "../../src/lab/read.ts";
import type { LabFile } from "../../src/lab/schema.ts";
import { coreOf } from "../support/cores.ts";

const oracle = join(import.meta.dirname, "../../fixtures/oracle");
const labs = readdirSync(oracle, { withFileTypes: true })
  .filter((d) => d.isDirectory())
  .map((d) => d.name);

/** Everything that a host's tables say. */
function tables(text: LabText): unknown {
  const { nodes } = buildLab(coreOf("release"), text);
  return Array.from(nodes.values(), (ns) => ({
    routes: ns.fib.listRoutes(),
    rules: ns.fib.listRules(),
    neighbours: ns.neighbours.list(),
    iptables: ns.iptables.save(),
    addresses: ns.interfaces.map((dev) => [dev.name, dev.mtu, dev.up, ns.fib.addresses(dev)]),
  }));
}

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const text = fc.oneof(fc.string(), fc.constant("*filter\n-A FORWARD -j DROP\nCOMMIT\n"), fc.string({ unit: "binary" }));
const interfaces = fc.dictionary(
  word,
  fc.oneof(
    fc.constant(null),
    fc.record(
      {
        mac: text,
        mtu: fc.integer({ min: 68, max: 65535 }),
        addresses: fc.array(text),
        up: fc.boolean(),
        kind: fc.constantFrom("veth", "bridge"),
        ports: fc.array(word),
        bridge: fc.dictionary(word, fc.oneof(fc.boolean(), fc.integer(), text)),
        port: fc.dictionary(word, fc.oneof(fc.boolean(), fc.integer(), text)),
      },
      { requiredKeys: [] },
    ),
  ),
);
const lab: fc.Arbitrary<LabFile> = fc.record(
  {
    nodes: fc.dictionary(
      word,
      fc.record(
        {
          interfaces,
          routes: fc.array(text),
          sysctl: fc.dictionary(word, fc.oneof(fc.integer(), text)),
          iptables: text,
          listen: fc.array(text),
        },
        { requiredKeys: [] },
      ),
    ),
    links: fc.array(fc.record({ endpoints: fc.tuple(text, text).map((t) => [...t]) })),
    timeline: fc.array(
      fc.record(
        { at: fc.oneof(text, fc.integer()), node: text, run: fc.array(text) },
        { requiredKeys: ["at", "node"] },
      ),
    ),
  },
  { requiredKeys: ["nodes"] },
) as fc.Arbitrary<LabFile>;

describe("a lab printed and read again", () => {
  it("is the same, whatever its words are", () => {
    fc.assert(
      fc.property(lab, (file) => {
        expect(LabText.read("printed", printLab(file)).file).toEqual(file);
      }),
    );
  });

  it.each(labs)("%s: and so are the hosts that it makes", (name) => {
    const file = join(oracle, name, "lab.yaml");
    const read = LabText.read(file, readFileSync(file, "utf8"));
    const again = LabText.read("printed", printLab(read.file));
    expect(again.file).toEqual(read.file);
    expect(tables(again)).toEqual(tables(read));
  });
});
