import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { PcapngWriter } from "../../src/capture/writer.ts";
import {
  block,
  description,
  enhanced,
  option,
  pcapHeader,
  pcapRecord,
  section,
  type TestPacket,
  words,
} from "./encode.ts";
import { packet, readAll, split } from "./support.ts";

const base: TestPacket = {
  interfaceId: 0,
  seconds: 1,
  nanoseconds: 2,
  data: Uint8Array.from({ length: 60 }, (_, i) => i),
  originalLength: 60,
  direction: 1,
  comments: ["one", "two"],
};
const { u16, u32 } = words(true);
const only = (file: Uint8Array): string => {
  const { errors } = readAll([file]);
  expect(errors).toHaveLength(1);
  return errors[0]!.message;
};

describe("a file cut short", () => {
  const record = pcapRecord(true, true, base);
  const files: Record<string, Buffer[]> = {
    pcap: [pcapHeader(true, true), record, record, record],
    "pcap, big-endian": [pcapHeader(false, false), pcapRecord(false, false, base), pcapRecord(false, false, base)],
    pcapng: [
      section(true),
      description(true, 1, 0, option(true, 9, Uint8Array.of(9))),
      enhanced(true, base),
      block(true, 0xbad, Buffer.alloc(40)),
      enhanced(true, { ...base, data: new Uint8Array(3), originalLength: 3 }),
    ],
    "pcapng, two sections": [
      section(false),
      description(false, 1, 0),
      enhanced(false, base),
      section(true),
      description(true, 1, 0),
      enhanced(true, base),
    ],
  };
  for (const [name, parts] of Object.entries(files)) {
    it(`gives what is before the cut and one error, wherever it is cut: ${name}`, () => {
      const file = Buffer.concat(parts);
      const all = readAll([file]);
      expect(all.errors).toEqual([]);
      const bounds: number[] = [];
      for (let i = 0, at = 0; i < parts.length; i++) bounds.push((at += parts[i]!.length));
      for (let cut = 0; cut <= file.length; cut++) {
        const whole = file.subarray(0, cut);
        const { packets, errors } = readAll([whole]);
        const before = readAll([file.subarray(0, Math.max(0, ...bounds.filter((b) => b <= cut)))]).packets;
        expect(packets).toEqual(before);
        expect(errors).toHaveLength(cut > 0 && bounds.includes(cut) ? 0 : 1);
        const bytes = readAll(
          split(
            whole,
            Array.from(whole, (_, i) => i),
          ),
        );
        expect(bytes.packets).toEqual(packets);
        expect(bytes.errors.map((e) => e.message)).toEqual(errors.map((e) => e.message));
      }
    });
  }

  it("names the packet, the place, what was expected and what is left", () => {
    const file = Buffer.concat(files["pcap"]!);
    expect(only(file.subarray(0, 24 + 76 + 16 + 12))).toBe(
      "packet 2 at offset 100: 60 bytes captured, 12 left in the file",
    );
    expect(only(file.subarray(0, 24 + 76 + 7))).toBe(
      "packet 2 at offset 100: a record header has 16 bytes, 7 left in the file",
    );
    expect(only(file.subarray(0, 10))).toBe("a pcap file header has 24 bytes, 10 left in the file");
    const ng = Buffer.concat(files["pcapng"]!);
    expect(only(ng.subarray(0, 28 + 28 + 20))).toBe("packet 1 at offset 56: 120 bytes long, 20 left in the file");
    expect(only(ng.subarray(0, 28 + 28 + 120 + 30))).toBe("block at offset 176: 52 bytes long, 30 left in the file");
  });
});

describe("what is no capture", () => {
  it("is named", () => {
    expect(only(new Uint8Array(0))).toBe("empty file, expected pcap or pcapng");
    expect(only(Buffer.from("#!/bin/sh\n"))).toBe(
      "not a capture: starts with 23 21 2f 62 ('#!/b'), expected pcap or pcapng",
    );
    expect(only(Buffer.from("#!"))).toBe("not a capture: starts with 23 21 ('#!'), expected pcap or pcapng");
    expect(only(Uint8Array.of(0x1f, 0x8b, 8, 0, 0))).toBe("gzip: decompress it first");
    expect(only(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0))).toBe("zstd: decompress it first");
  });
});

describe("damage in a pcap file", () => {
  it("is an absurd length, found before its bytes are waited for", () => {
    const file = Buffer.concat([pcapHeader(true, true), u32(1), u32(1), u32(0x7fff_ffff), u32(60)]);
    expect(only(file)).toBe("packet 1 at offset 24: 2147483647 bytes captured, at most 262144 expected");
  });
  it("is a version that nobody knows", () => {
    const file = pcapHeader(true, true);
    file.writeUInt16LE(7, 4);
    expect(only(file)).toBe("pcap version 7.4 at offset 4, expected 2.x");
  });
});

describe("damage in a pcapng file", () => {
  const head = Buffer.concat([section(true), description(true, 1, 0)]);
  const at = head.length;
  const cases: [what: string, bytes: Uint8Array, message: string][] = [
    [
      "two lengths",
      Buffer.concat([u32(6), u32(16), u32(0), u32(20)]),
      "packet 1 at offset 48: starts with length 16, ends with 20",
    ],
    ["a short length", Buffer.concat([u32(6), u32(8)]), "packet 1 at offset 48: a length of 8, expected at least 12"],
    [
      "an odd length",
      Buffer.concat([u32(9), u32(33)]),
      "block of type 9 at offset 48: a length of 33, expected a multiple of 4",
    ],
    [
      "a huge length",
      Buffer.concat([u32(6), u32(0x7fff_fff0)]),
      "packet 1 at offset 48: a length of 2147483632, at most 16777216 expected",
    ],
    [
      "an unknown interface",
      enhanced(true, { ...base, interfaceId: 1 }),
      "packet 1 at offset 48: interface 1, the section describes 1",
    ],
    [
      "no room for the header",
      block(true, 6, u32(0), u32(0)),
      "packet 1 at offset 48: a block of 20 bytes, expected 32",
    ],
    [
      "more captured than the block has",
      block(true, 6, u32(0), u32(0), u32(0), u32(9), u32(9), Buffer.alloc(8)),
      "packet 1 at offset 48: 9 bytes captured, 8 left in the block",
    ],
    [
      "more captured than any packet has",
      block(true, 6, u32(0), u32(0), u32(0), u32(262_145), u32(9), Buffer.alloc(8)),
      "packet 1 at offset 48: 262145 bytes captured, at most 262144 expected",
    ],
    [
      "a comment past its block",
      block(true, 6, u32(0), u32(0), u32(0), u32(0), u32(0), u16(1), u16(40), Buffer.alloc(8)),
      "packet 1 at offset 48: option 1 has 40 bytes, 8 left in the block",
    ],
    [
      "flags of two bytes",
      block(true, 6, u32(0), u32(0), u32(0), u32(0), u32(0), u16(2), u16(2), u16(1), u16(0)),
      "packet 1 at offset 48: option 2 has 2 bytes, expected 4",
    ],
    [
      "a resolution of two bytes",
      description(true, 1, 0, option(true, 9, Uint8Array.of(9, 9))),
      "interface description at offset 48: option 9 has 2 bytes, expected 1",
    ],
    [
      "a resolution that 64 bits cannot count",
      description(true, 1, 0, option(true, 9, Uint8Array.of(20))),
      "interface description at offset 48: if_tsresol 10^-20 does not fit into 64 bits",
    ],
    [
      "an interface without a snap length",
      block(true, 1, u32(1)),
      "interface description at offset 48: a body of 4 bytes, expected 8",
    ],
    [
      "statistics of nobody",
      block(true, 5, u32(3), u32(0), u32(0)),
      "interface statistics at offset 48: interface 3, the section has 1",
    ],
    [
      "secrets past their block",
      block(true, 10, u32(1), u32(5), u32(0)),
      "decryption secrets at offset 48: 5 bytes of secrets, 4 left in the block",
    ],
    [
      "a name past its block",
      block(true, 4, u16(1), u16(9), u32(0)),
      "name resolution at offset 48: record of type 1 has 9 bytes, 4 left in the block",
    ],
    [
      "a name without an address",
      block(true, 4, u16(2), u16(4), u32(0)),
      "name resolution at offset 48: record of type 2 has 4 bytes, expected 16 and names",
    ],
    [
      "no order",
      Buffer.concat([u32(0x0a0d0d0a), u32(28), u32(7)]),
      "section header at offset 48: byte-order magic 07000000, expected 1a2b3c4d or 4d3c2b1a",
    ],
    [
      "a version",
      block(true, 0x0a0d0d0a, u32(0x1a2b3c4d), u16(2), u16(0), u32(0), u32(0)),
      "section header at offset 48: pcapng version 2.0, expected 1.0",
    ],
  ];
  it.each(cases)("%s", (_, bytes, message) => {
    expect(at).toBe(48);
    expect(only(Buffer.concat([head, bytes]))).toBe(message);
    // the packets before it are there all the same
    const { packets, errors } = readAll([Buffer.concat([head, enhanced(true, base), bytes])]);
    expect(packets).toHaveLength(1);
    expect(errors).toHaveLength(1);
  });

  it("never claims the memory that a length field asks for", () => {
    const file = Buffer.concat([head, u32(6), u32(16_777_216), Buffer.alloc(100)]);
    const before = process.memoryUsage().arrayBuffers;
    expect(only(file)).toBe("packet 1 at offset 48: 16777216 bytes long, 108 left in the file");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4_000_000);
  });
});

describe("any bytes at all", () => {
  it("give packets and at most one error, the same however they are split", () => {
    const good = readFileSync(new URL("../../fixtures/captures/comments.pcapng", import.meta.url));
    const chunks: Uint8Array[] = [];
    const w = new PcapngWriter((c) => chunks.push(c));
    w.addInterface({ name: "eth0" });
    fc.sample(packet(1), { numRuns: 5, seed: 1 }).forEach((p) => w.write(0, p.seconds, p.nanoseconds, p.data));
    w.flush();
    const files = [
      good,
      Buffer.concat(chunks),
      Buffer.concat([pcapHeader(false, true), pcapRecord(false, true, base)]),
    ];
    const damaged = fc.record({
      file: fc.constantFrom(...files),
      flips: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      cuts: fc.array(fc.nat(), { maxLength: 8 }),
    });
    fc.assert(
      fc.property(damaged, ({ file, flips, cuts }) => {
        const bytes = Buffer.from(file);
        for (const [at, v] of flips) bytes[at % bytes.length] = v;
        const whole = readAll([bytes]);
        const parts = readAll(split(bytes, cuts));
        expect(whole.errors.length).toBeLessThanOrEqual(1);
        expect(parts.packets).toEqual(whole.packets);
        expect(parts.errors.map((e) => e.message)).toEqual(whole.errors.map((e) => e.message));
      }),
      { numRuns: 1000 },
    );
  });
});
