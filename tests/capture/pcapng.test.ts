import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TLS_KEY_LOG } from "../../src/capture/format.ts";
import { PcapngWriter } from "../../src/capture/writer.ts";
import { block, description, enhanced, option, pad4, section, type TestPacket, words } from "./encode.ts";
import { expected, packet, readAll, split } from "./support.ts";

const noData: TestPacket = {
  interfaceId: 0,
  seconds: 0,
  nanoseconds: 0,
  data: new Uint8Array(0),
  originalLength: 0,
  direction: 0,
  comments: [],
};
/** Readers drop zeros at the end of a text. */
const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((s) => !s.endsWith("\0"));

describe("pcapng, read", () => {
  it("gives every packet of every section, each in its own byte order, however the file is split", () => {
    const iface = fc.record({ linkType: fc.constantFrom(1, 101, 113, 276, 147), name: text });
    const part = fc.tuple(fc.boolean(), fc.array(iface, { minLength: 1, maxLength: 3 })).chain(([order, interfaces]) =>
      fc.record({
        order: fc.constant(order),
        interfaces: fc.constant(interfaces),
        packets: fc.array(packet(interfaces.length), { maxLength: 5 }),
        noise: fc.uint8Array({ maxLength: 60 }),
      }),
    );
    const files = fc.tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.array(fc.nat(), { maxLength: 20 }));
    fc.assert(
      fc.property(files, ([sections, cuts]) => {
        const blocks: Uint8Array[] = [];
        const want: unknown[] = [];
        const names: string[] = [];
        for (const { order, interfaces, packets, noise } of sections) {
          const first = names.length;
          blocks.push(section(order));
          for (const i of interfaces) {
            names.push(i.name);
            blocks.push(
              description(order, i.linkType, 0, option(order, 2, i.name), option(order, 9, Uint8Array.of(9))),
            );
          }
          for (const p of packets) {
            blocks.push(block(order, 0x8000_0bad, noise), enhanced(order, p));
            const global = { ...p, interfaceId: first + p.interfaceId };
            want.push(expected(global, want.length + 1, interfaces[p.interfaceId]!.linkType));
          }
        }
        const { packets, errors, reader } = readAll(split(Buffer.concat(blocks), cuts));
        expect(errors).toEqual([]);
        expect(packets).toEqual(want);
        expect(reader.interfaces.map((i) => i.name)).toEqual(names);
        expect(reader.interfaces.map((i) => i.id)).toEqual(names.map((_, i) => i));
        expect(reader.skippedBlocks).toBe(want.length);
        expect(reader.section?.littleEndian).toBe(sections.at(-1)!.order);
      }),
    );
  });

  it("turns any 64-bit time of any resolution into seconds and nanoseconds, as integers of any size would", () => {
    const times = fc.record({
      order: fc.boolean(),
      resolution: fc.oneof(fc.integer({ min: 0, max: 19 }), fc.integer({ min: 128, max: 128 + 63 })),
      time: fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(1_500_000_000_000_000_000n, 1_800_000_000_000_000_000n)),
      offset: fc.integer({ min: -1_000_000, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(times, ({ order, resolution, time, offset }) => {
        const { u32, u64 } = words(order);
        const base = resolution < 128 ? 10n : 2n;
        const units = base ** BigInt(resolution & 127);
        // seconds beyond 2^53 have no exact number
        fc.pre(time / units < 2n ** 52n);
        const options = [option(order, 9, Uint8Array.of(resolution)), option(order, 14, u64(BigInt(offset)))];
        const hi = u32(Number(time >> 32n));
        const lo = u32(Number(time & 0xffff_ffffn));
        const epb = block(order, 6, u32(0), hi, lo, u32(0), u32(0));
        const { packets, errors } = readAll([section(order), description(order, 1, 0, ...options), epb]);
        expect(errors).toEqual([]);
        expect(BigInt(packets[0]!.seconds)).toBe(time / units + BigInt(offset));
        expect(BigInt(packets[0]!.nanoseconds)).toBe(((time % units) * 1_000_000_000n) / units);
      }),
      { numRuns: 2000 },
    );
  });

  it("takes microseconds where if_tsresol is absent", () => {
    const p = { ...noData, seconds: 5, nanoseconds: 7000 };
    const { packets } = readAll([section(false), description(false, 1, 0), enhanced(false, p, 1_000_000n)]);
    expect([packets[0]!.seconds, packets[0]!.nanoseconds]).toEqual([5, 7000]);
  });

  it.each([true, false])("reads Simple Packet Blocks and obsolete Packet Blocks (little-endian: %s)", (order) => {
    const { u16, u32 } = words(order);
    const data = Buffer.from("abcdefg");
    const file = [
      section(order),
      description(order, 101, 5),
      block(order, 3, u32(7), data.subarray(0, 5)),
      block(order, 3, u32(3), data.subarray(0, 3)),
      block(order, 2, u16(0), u16(9), u32(0), u32(1_000_002), u32(7), u32(90), pad4(data), option(order, 2, u32(2))),
    ];
    const { packets, errors } = readAll(file);
    expect(errors).toEqual([]);
    const base = { interfaceId: 0, linkType: 101, direction: 0, comments: [], seconds: 0, nanoseconds: 0 };
    expect(packets).toEqual([
      {
        ...base,
        number: 1,
        timed: false,
        capturedLength: 5,
        originalLength: 7,
        data: Uint8Array.from(data.subarray(0, 5)),
      },
      {
        ...base,
        number: 2,
        timed: false,
        capturedLength: 3,
        originalLength: 3,
        data: Uint8Array.from(data.subarray(0, 3)),
      },
      {
        ...base,
        number: 3,
        timed: true,
        seconds: 1,
        nanoseconds: 2000,
        direction: 2,
        capturedLength: 7,
        originalLength: 90,
        data: Uint8Array.from(data),
      },
    ]);
  });

  it.each([true, false])("reads what describes: section, interface, names, statistics, secrets (%s)", (order) => {
    const { u16, u32, u64 } = words(order);
    const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
    const options = [
      option(order, 2, "eth0\0"),
      option(order, 3, "the uplink"),
      option(order, 1, "müde"),
      option(order, 6, mac),
      option(order, 8, u64(10_000_000_000n)),
      option(order, 9, Uint8Array.of(0x80 | 20)),
      option(order, 13, Uint8Array.of(4)),
      option(order, 0, Buffer.alloc(0)),
    ];
    const v6 = Uint8Array.from({ length: 16 }, (_, i) => i);
    const { reader, errors } = readAll([
      section(
        order,
        option(order, 2, "a machine"),
        option(order, 3, "an os"),
        option(order, 4, "a program"),
        option(order, 1, "why"),
      ),
      description(order, 1, 96, ...options),
      block(
        order,
        4,
        u16(1),
        u16(10),
        pad4(Buffer.from([192, 0, 2, 1, ...Buffer.from("a\0bc\0\0").subarray(0, 6)])),
        u16(2),
        u16(19),
        pad4(Buffer.from([...v6, ...Buffer.from("v6\0")])),
        u32(0),
      ),
      block(order, 5, u32(0), u32(0), u32(3 << 20), option(order, 4, u64(7n)), option(order, 5, u64(2n ** 40n))),
      block(order, 10, u32(TLS_KEY_LOG), u32(3), pad4(Buffer.from("key"))),
    ]);
    expect(errors).toEqual([]);
    expect(reader.section).toEqual({
      littleEndian: order,
      major: 1,
      minor: 0,
      hardware: "a machine",
      os: "an os",
      application: "a program",
      comments: ["why"],
    });
    expect(reader.interfaces).toEqual([
      {
        id: 0,
        section: 0,
        index: 0,
        linkType: 1,
        snapLength: 96,
        name: "eth0",
        description: "the uplink",
        mac,
        speed: 10_000_000_000,
        unitsPerSecond: 2 ** 20,
        timeOffset: 0,
        fcsLength: 4,
        comments: ["müde"],
        statistics: { seconds: 3, nanoseconds: 0, received: 7, dropped: 2 ** 40 },
      },
    ]);
    expect(reader.names).toEqual([
      { address: Uint8Array.of(192, 0, 2, 1), names: ["a", "bc"] },
      { address: v6, names: ["v6"] },
    ]);
    expect(reader.secrets).toEqual([{ type: TLS_KEY_LOG, data: Uint8Array.from(Buffer.from("key")) }]);
  });

  it("keeps no more than 16 MiB of secrets, and skips unknown blocks of any length without holding them", () => {
    const secrets = block(true, 10, words(true).u32(1), words(true).u32(0), Buffer.alloc(6_000_000));
    const unknown = block(true, 77, Buffer.alloc(20_000_000));
    const { reader, errors, packets } = readAll([
      section(true),
      description(true, 1, 0),
      secrets,
      secrets,
      secrets,
      unknown.subarray(0, 9_000_001),
      unknown.subarray(9_000_001),
      enhanced(true, noData),
    ]);
    expect(errors).toEqual([]);
    expect(packets).toHaveLength(1);
    expect(reader.secrets).toHaveLength(2);
    expect(reader.skippedBlocks).toBe(2);
  });
});

describe("pcapng, written", () => {
  it("reads back as it was written, in whatever chunks it comes out", () => {
    const iface = fc.record(
      {
        linkType: fc.constantFrom(1, 101, 113),
        name: text,
        description: text,
        mac: fc.uint8Array({ minLength: 6, maxLength: 6 }),
        speed: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
        snapLength: fc.nat(),
        comments: fc.array(text, { maxLength: 2 }),
      },
      { requiredKeys: ["linkType", "comments"] },
    );
    const files = fc.array(iface, { minLength: 1, maxLength: 4 }).chain((interfaces) =>
      fc.record({
        interfaces: fc.constant(interfaces),
        packets: fc.array(packet(interfaces.length), { maxLength: 8 }),
        chunkLength: fc.integer({ min: 1, max: 600 }),
        secrets: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 2 }),
        head: fc.record({ application: text, os: text, hardware: text, comments: fc.array(text, { maxLength: 2 }) }),
      }),
    );
    fc.assert(
      fc.property(files, ({ interfaces, packets, chunkLength, secrets, head }) => {
        const chunks: Uint8Array[] = [];
        const w = new PcapngWriter((c) => chunks.push(c), { ...head, chunkLength });
        secrets.forEach((s) => w.writeSecrets(s));
        interfaces.forEach((i, id) => expect(w.addInterface(i)).toBe(id));
        for (const p of packets) {
          const memory = Buffer.concat([Buffer.alloc(3), p.data, Buffer.alloc(9)]);
          const { interfaceId, seconds, nanoseconds, data, originalLength, direction, comments } = p;
          const list = comments.length === 0 ? null : comments;
          w.write(interfaceId, seconds, nanoseconds, memory, 3, data.length, originalLength, direction, list);
        }
        w.writeStatistics(0, { seconds: 1_600_000_000, nanoseconds: 999_999_999, received: packets.length });
        w.flush();
        const { packets: got, errors, reader } = readAll(chunks);
        expect(errors).toEqual([]);
        expect(got).toEqual(packets.map((p, i) => expected(p, i + 1, interfaces[p.interfaceId]!.linkType)));
        expect(reader.section).toMatchObject(head);
        reader.interfaces.forEach((i, id) => {
          expect(i).toMatchObject({ snapLength: 262_144, ...interfaces[id], unitsPerSecond: 1e9 });
        });
        expect(reader.interfaces[0]!.statistics).toEqual({
          seconds: 1_600_000_000,
          nanoseconds: 999_999_999,
          received: packets.length,
        });
        expect(reader.secrets).toEqual(secrets.map((data) => ({ type: TLS_KEY_LOG, data })));
        const oracle = Buffer.concat(packets.map((p) => enhanced(true, p)));
        expect(Buffer.concat(chunks).includes(oracle)).toBe(true);
      }),
    );
  });

  it("writes times up to the format's end", () => {
    const chunks: Uint8Array[] = [];
    const w = new PcapngWriter((c) => chunks.push(c));
    w.addInterface();
    const times = [0, 1, 4_294_967_295, 4_294_967_296, 17_179_869_183, 18_446_744_072];
    for (const t of times) w.write(0, t, 999_999_999, new Uint8Array(1));
    w.flush();
    expect(readAll(chunks).packets.map((p) => [p.seconds, p.nanoseconds])).toEqual(times.map((t) => [t, 999_999_999]));
  });

  it("names the program and refuses what does not fit", () => {
    const chunks: Uint8Array[] = [];
    const w = new PcapngWriter((c) => chunks.push(c));
    const one = new Uint8Array(1);
    expect(() => w.write(0, 0, 0, one)).toThrow("interface 0, the file has 0");
    w.addInterface();
    expect(() => w.write(0, 18_446_744_073, 0, one)).toThrow("seconds 18446744073");
    expect(() => w.write(0, 0, 0, one, 0, 1, 1, 0, ["x".repeat(65_536)])).toThrow(
      "comment: 65536 bytes, at most 65535 fit",
    );
    expect(() => w.addInterface({ mac: one })).toThrow("mac: 1 bytes, expected 6");
    w.write(0, 0, 0, one, 0, 1, 1, 0, ["x".repeat(65_535)]);
    w.flush();
    const { reader, packets, errors } = readAll(chunks);
    expect(errors).toEqual([]);
    expect(packets[0]!.comments[0]).toHaveLength(65_535);
    expect(reader.section!.application).toBe("wirepath");
  });
});
