import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CaptureReader, readCapture } from "../../src/capture/reader.ts";
import { PcapWriter } from "../../src/capture/writer.ts";
import { pcapHeader, pcapRecord, type TestPacket, words } from "./encode.ts";
import { expected, packet, readAll, split } from "./support.ts";

const orders = fc.boolean();
const plain = (p: TestPacket, nano: boolean): TestPacket => ({
  ...p,
  nanoseconds: nano ? p.nanoseconds : p.nanoseconds - (p.nanoseconds % 1000),
  direction: 0,
  comments: [],
});

describe("pcap, read", () => {
  it("gives every packet, in both byte orders and both units, however the file is split", () => {
    const files = fc.record({
      order: orders,
      nano: orders,
      linkType: fc.constantFrom(0, 1, 12, 14, 101, 108, 113, 228, 229, 276, 147, 0xffff),
      packets: fc.array(packet(1), { maxLength: 8 }),
      cuts: fc.array(fc.nat(), { maxLength: 20 }),
    });
    fc.assert(
      fc.property(files, ({ order, nano, linkType, packets, cuts }) => {
        const records = packets.map((p) => pcapRecord(order, nano, p));
        const file = Buffer.concat([pcapHeader(order, nano, linkType), ...records]);
        const { packets: got, errors, reader } = readAll(split(file, cuts));
        expect(errors).toEqual([]);
        expect(got).toEqual(packets.map((p, i) => expected(plain(p, nano), i + 1, linkType)));
        expect(reader.format).toBe("pcap");
        expect(reader.interfaces[0]).toMatchObject({ id: 0, linkType, unitsPerSecond: nano ? 1e9 : 1e6 });
      }),
    );
  });

  it("gives the same one byte at a time", () => {
    fc.assert(
      fc.property(orders, fc.array(packet(1), { maxLength: 4 }), (order, packets) => {
        const file = Buffer.concat([pcapHeader(order, true), ...packets.map((p) => pcapRecord(order, true, p))]);
        const whole = readAll([file]);
        const bytes = readAll(
          split(
            file,
            Array.from(file, (_, i) => i),
          ),
        );
        expect(bytes.packets).toEqual(whole.packets);
        expect(bytes.errors).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  it("takes the link type from 16 bits and the FCS length from the top four", () => {
    const { reader } = readAll([pcapHeader(true, false, 0x2400_0001)]);
    expect(reader.interfaces[0]).toMatchObject({ linkType: 1, fcsLength: 4 });
    expect(readAll([pcapHeader(true, false, 0x2000_0001)]).reader.interfaces[0]!.fcsLength).toBe(0);
  });

  it("carries a fraction of more than a second over, as nothing else would keep nanoseconds below 1e9", () => {
    const { u32 } = words(true);
    const record = Buffer.concat([u32(7), u32(2_000_003), u32(0), u32(0)]);
    const [p] = readAll([pcapHeader(true, false), record]).packets;
    expect([p!.seconds, p!.nanoseconds]).toEqual([9, 3000]);
  });

  it("turns the lengths of version 2.2 round, and of 2.3 when they must be", () => {
    const { u32 } = words(false);
    const old = Buffer.concat([u32(1), u32(0), u32(60), u32(2), Buffer.from([8, 9])]);
    for (const minor of [2, 3]) {
      const [p] = readAll([pcapHeader(false, false, 1, minor), old]).packets;
      expect([p!.capturedLength, p!.originalLength, ...p!.data]).toEqual([2, 60, 8, 9]);
    }
  });

  it("reads the longer record header of the patched format", () => {
    const { u32 } = words(true);
    const header = pcapHeader(true, false);
    header.writeUInt32LE(0xa1b2cd34, 0);
    const record = Buffer.concat([u32(1), u32(2), u32(3), u32(3), u32(99), u32(0), Buffer.from("abc")]);
    const { packets, errors } = readAll([header, record, record]);
    expect(errors).toEqual([]);
    expect(packets.map((p) => Buffer.from(p.data).toString())).toEqual(["abc", "abc"]);
  });

  it("says that a push too early would lose packets", () => {
    const reader = new CaptureReader();
    const p = { interfaceId: 0, seconds: 1, nanoseconds: 0, originalLength: 1, direction: 0, comments: [] };
    const record = pcapRecord(true, true, { ...p, data: Uint8Array.of(1) });
    reader.push(Buffer.concat([pcapHeader(true, true), record, record]));
    expect(reader.next()).toBe(true);
    expect(() => reader.push(record)).toThrow("call next() until it answers false");
    expect(() => reader.end()).toThrow("call next() until it answers false");
  });
});

describe("pcap, written", () => {
  it("reads back as it was written, in whatever chunks it comes out", () => {
    const files = fc.tuple(fc.boolean(), fc.array(packet(1), { maxLength: 8 }), fc.integer({ min: 1, max: 600 }));
    fc.assert(
      fc.property(files, ([nanoseconds, packets, chunkLength]) => {
        const chunks: Uint8Array[] = [];
        const w = new PcapWriter((c) => chunks.push(c), { nanoseconds, linkType: 101, chunkLength });
        for (const p of packets) {
          // from the middle of a larger memory
          const memory = Buffer.concat([Buffer.alloc(5), p.data, Buffer.alloc(3)]);
          w.write(p.seconds, p.nanoseconds, memory, 5, p.data.length, p.originalLength);
        }
        w.flush();
        const { packets: got, errors } = readAll(chunks);
        expect(errors).toEqual([]);
        expect(got).toEqual(packets.map((p, i) => expected(plain(p, nanoseconds), i + 1, 101)));
        const oracle = packets.map((p) => pcapRecord(true, nanoseconds, p));
        const header = pcapHeader(true, nanoseconds, 101);
        header.writeUInt32LE(262_144, 16);
        expect(Buffer.concat(chunks)).toEqual(Buffer.concat([header, ...oracle]));
      }),
    );
  });

  it("refuses what does not fit", () => {
    const w = new PcapWriter(() => {});
    const one = new Uint8Array(1);
    expect(() => w.write(2 ** 32, 0, one)).toThrow(
      "seconds 4294967296: expected a whole number from 0 below 4294967296",
    );
    expect(() => w.write(-1, 0, one)).toThrow("seconds -1");
    expect(() => w.write(1.5, 0, one)).toThrow("seconds 1.5");
    expect(() => w.write(NaN, 0, one)).toThrow("seconds NaN");
    expect(() => w.write(0, 1e9, one)).toThrow("nanoseconds 1000000000");
    expect(() => w.write(0, 0, new Uint8Array(262_145))).toThrow("a packet of 262145 bytes, at most 262144 fit");
    expect(() => w.write(0, 0, one, 1, 1)).toThrow("a packet at 1 of 1 bytes, in a buffer of 1");
  });
});

describe("readCapture", () => {
  it("yields once for each chunk and reads gzip as well", async () => {
    const p = { interfaceId: 0, seconds: 1, nanoseconds: 5, originalLength: 90, direction: 0, comments: [] };
    const record = pcapRecord(true, true, { ...p, data: new Uint8Array(90).fill(7) });
    const file = Buffer.concat([pcapHeader(true, true), ...Array.from({ length: 50 }, () => record)]);
    const zip = new Blob([file]).stream().pipeThrough(new CompressionStream("gzip"));
    const zipped = new Uint8Array(await new Response(zip).arrayBuffer());
    for (const source of [[file], split(file, [1, 30, 31, 200]), [zipped], split(zipped, [1, 2, 3, 40])]) {
      let n = 0;
      for await (const r of readCapture(source)) while (r.next()) n += r.capturedLength;
      expect(n).toBe(50 * 90);
    }
    const cut = async (): Promise<void> => {
      for await (const r of readCapture([zipped.subarray(0, zipped.length - 12)])) while (r.next());
    };
    await expect(cut()).rejects.toThrow(/^gzip: /);
  });
});
