import { describe, expect, it } from "vitest";
import { TLS_KEY_LOG } from "../../src/capture/format.ts";
import { CaptureReader } from "../../src/capture/reader.ts";
import { PcapngWriter } from "../../src/capture/writer.ts";
import { buildLab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import { Recorder } from "../../src/trace/recorder.ts";
import { coreOf } from "../support/cores.ts";

function read(chunks: readonly Uint8Array[]): {
  reader: CaptureReader;
  packets: { name: string; comments: string[] }[];
} {
  const reader = new CaptureReader();
  reader.push(Buffer.concat(chunks));
  const packets: { name: string; comments: string[] }[] = [];
  while (reader.next()) {
    packets.push({ name: reader.interfaces[reader.interfaceId]!.name ?? "", comments: [...(reader.comments ?? [])] });
  }
  reader.end();
  return { reader, packets };
}

describe("recorder", () => {
  it("names the nodes, holds the secrets, and says which frames a lossy wire took", () => {
    const lab = buildLab(
      coreOf("release"),
      LabText.read(
        "x.yaml",
        `
nodes:
  a: { interfaces: { eth0: { addresses: [10.0.0.1/24] } }, neighbours: ["10.0.0.2 dev eth0 lladdr 02:00:00:00:00:02 nud permanent"] }
  b: { interfaces: { eth0: { addresses: [10.0.0.2/24, 10.0.0.3/24], mac: "02:00:00:00:00:02" } }, listen: ["udp 53"] }
links:
  - { endpoints: ["a:eth0", "b:eth0"], netem: ["loss 100%", ""] }
timeline:
  - { at: 1s, node: a, send: { proto: udp, sport: 1000, dst: 10.0.0.2, dport: 53, payload: "00" } }
`,
      ),
    );
    const recorder = new Recorder(lab.world);
    lab.world.tracer = recorder.event;
    while (lab.world.clock.step());
    recorder.keyLog(Buffer.from("CLIENT_RANDOM 00 11\n"));
    recorder.keyLog(Buffer.from("CLIENT_RANDOM 22 33\n"));
    const chunks: Uint8Array[] = [];
    recorder.write((c) => chunks.push(c), lab.nodes.values());
    const { reader, packets } = read(chunks);
    expect(reader.names).toEqual([
      { address: Uint8Array.of(10, 0, 0, 1), names: ["a"] },
      { address: Uint8Array.of(10, 0, 0, 2), names: ["b"] },
      { address: Uint8Array.of(10, 0, 0, 3), names: ["b"] },
    ]);
    const keys = Uint8Array.from(Buffer.from("CLIENT_RANDOM 00 11\nCLIENT_RANDOM 22 33\n"));
    expect(reader.secrets).toEqual([{ type: TLS_KEY_LOG, data: keys }]);
    expect(packets.map((p) => p.name)).toEqual(["a:eth0"]);
    expect(packets[0]!.comments.join("\n")).toContain("dropped by a: LinkLoss");
  });
});

describe("names", () => {
  it("are written as they are read", () => {
    const chunks: Uint8Array[] = [];
    const writer = new PcapngWriter((c) => chunks.push(c));
    const names = [
      { address: Uint8Array.of(192, 0, 2, 1), names: ["a", "bc"] },
      { address: new Uint8Array(16).fill(7), names: ["v6"] },
    ];
    writer.writeNames(names);
    writer.flush();
    expect(read(chunks).reader.names).toEqual(names);
    expect(() => writer.writeNames([{ address: new Uint8Array(5), names: ["x"] }])).toThrow("expected 4 or 16");
  });
});
