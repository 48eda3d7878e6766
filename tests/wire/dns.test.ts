import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Drop } from "../../assembly/drop.ts";
import { DnsRr, DnsWriter } from "../../assembly/wire/dnstypes.ts";
import { overBuilds } from "../support/cores.ts";

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s/g, ""), "hex"));

/** Queries and answers of a real dnsmasq. */
const real = readFileSync(new URL("../../fixtures/dns-dnsmasq.hex", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map(bytes);

/** A header with these counts. */
const header = (qd: number, an = 0, ns = 0, ar = 0): string =>
  `abcd8180${[qd, an, ns, ar].map((n) => n.toString(16).padStart(4, "0")).join("")}`;

/** F.ISI.ARPA, FOO.F.ISI.ARPA and ARPA at their offsets of RFC 1035 §4.1.4, behind a header and 8 bytes of 0xff. */
const names = bytes(`${header(0)} ${"ff".repeat(8)} 0146034953490441525041 00 03464f4f c014 c01a 00`);

overBuilds("dns", (make) => {
  const core = make();
  const block = core.x.alloc(1 << 18);
  const p = block + 64;
  const wire = block + 70000;
  const text = block + 71000;
  const words = block + 73000;
  const writer = block + 74000;

  function put(b: Uint8Array): number {
    core.u8.fill(0xa5, block, block + 70000);
    core.u8.set(b, p);
    return b.length;
  }
  const check = (b: Uint8Array): Drop => core.x.dnsCheck(p, put(b));
  /** The name at `at` as text, and the offset behind it. */
  function name(b: Uint8Array, at: number): [string, number] | Drop {
    const r = core.x.dnsName(p, put(b), at, wire);
    if (r < 0) return -r;
    const n = core.x.dnsNameToText(wire, r >>> 16, text);
    return [Buffer.from(core.u8.subarray(text, text + n)).toString("latin1"), r & 0xffff];
  }
  function toWire(s: string): Uint8Array | Drop {
    core.u8.set(Buffer.from(s, "latin1"), text);
    const n = core.x.dnsNameFromText(text, s.length, wire);
    return n < 0 ? -n : core.u8.slice(wire, wire + n);
  }

  it("reads a header", () => {
    put(bytes("1234 8583 0001 0002 0003 0004"));
    const { x } = core;
    expect([x.dnsId(p), x.dnsFlags(p), x.dnsQdcount(p), x.dnsAncount(p), x.dnsNscount(p), x.dnsArcount(p)]).toEqual([
      0x1234, 0x8583, 1, 2, 3, 4,
    ]);
    x.dnsSetId(p, 0xffff);
    x.dnsSetFlags(p, 0x0100);
    expect([x.dnsId(p), x.dnsFlags(p), x.dnsQdcount(p)]).toEqual([0xffff, 0x0100, 1]);
  });

  it("accepts real messages and refuses them cut at every length", () => {
    for (const b of real) {
      expect(check(b)).toBe(Drop.None);
      for (let n = 0; n < b.length; n++) expect(check(b.subarray(0, n))).not.toBe(Drop.None);
      // what follows the last record is nobody's business
      expect(check(Uint8Array.from([...b, 1, 2, 3]))).toBe(Drop.None);
    }
  });

  it("reads questions and records, one behind the other", () => {
    const b = real[5]!; // alias.test: CNAME host.test, A 192.0.2.77
    const len = put(b);
    const word = (at: DnsRr): number => core.u32[(words + at) >> 2]!;
    const at = core.x.dnsQuestion(p, len, 12, words);
    expect([at, word(DnsRr.Name), word(DnsRr.Type), word(DnsRr.Class)]).toEqual([28, 12, 1, 1]);
    const second = core.x.dnsRecord(p, len, at, words);
    expect([
      word(DnsRr.Name),
      word(DnsRr.Type),
      word(DnsRr.Class),
      word(DnsRr.Ttl),
      word(DnsRr.Rdata),
      word(DnsRr.RdLength),
    ]).toEqual([28, 5, 1, 60, 40, 11]);
    expect(name(b, 40)).toEqual(["host.test", 51]);
    expect(core.x.dnsRecord(p, put(b), second, words)).toBe(b.length);
    expect([word(DnsRr.Type), word(DnsRr.RdLength)]).toEqual([1, 4]);
    for (let n = at; n < second; n++) expect(core.x.dnsRecord(p, n, at, words)).toBeLessThan(0);
    for (let n = 12; n < at; n++) expect(core.x.dnsQuestion(p, n, 12, words)).toBe(-Drop.Truncated);
  });

  describe("names", () => {
    it("are expanded as RFC 1035 §4.1.4 shows", () => {
      expect(name(names, 20)).toEqual(["F.ISI.ARPA", 32]);
      expect(name(names, 32)).toEqual(["FOO.F.ISI.ARPA", 38]);
      expect(name(names, 38)).toEqual(["ARPA", 40]);
      expect(name(names, 40)).toEqual([".", 41]);
    });

    it("with pointers that do not lead back are refused", () => {
      const refused = (hex: string, at: number, drop: Drop): void => {
        const b = bytes(header(0) + hex);
        expect.soft([hex, name(b, at)]).toEqual([hex, drop]);
        expect.soft([hex, core.x.dnsSkipName(p, b.length, at)]).toEqual([hex, -drop]);
      };
      refused("c00c", 12, Drop.BadName); // itself
      refused("c00e 00", 12, Drop.BadName); // forward
      refused("c00e c00c", 14, Drop.BadName); // there and back
      refused("0161 c00c", 12, Drop.BadName); // into its own labels
      refused("0161 c00e", 12, Drop.BadName); // onto itself
      refused("00 c000", 13, Drop.BadName); // the header is no name
      refused("00 c00b", 13, Drop.BadName);
      refused("c0ff", 12, Drop.BadName); // behind the end
      refused("c0", 12, Drop.Truncated);
      refused("0361", 12, Drop.Truncated);
      refused("0161", 12, Drop.Truncated);
      refused("", 12, Drop.Truncated);
      refused("4161", 12, Drop.BadName); // 01: extended labels, withdrawn
      refused("8161", 12, Drop.BadName); // 10: reserved
    });

    it("have at most 255 bytes, also through pointers", () => {
      const label = "0161";
      const longest = `${label.repeat(127)}00`;
      expect(check(bytes(`${header(1)}${longest}00010001`))).toBe(Drop.None);
      expect(check(bytes(`${header(1)}${label.repeat(128)}0000010001`))).toBe(Drop.BadName);
      const chain = bytes(`${header(2)}${longest}00010001 0161c00c 00010001`);
      expect(check(chain)).toBe(Drop.BadName);
      expect(name(chain, 12 + 255 + 4)).toBe(Drop.BadName);
    });

    it("have at most 127 pointers, so that a message of pointers costs no time", () => {
      const hops = Buffer.alloc(300);
      for (let i = 14; i < hops.length; i += 2) hops.writeUInt16BE(0xc000 | (i - 2), i);
      expect(name(hops, 12 + 2 * 127)).toEqual([".", 12 + 2 * 128]);
      expect(name(hops, 12 + 2 * 128)).toBe(Drop.BadName);
    });

    it("are written with escapes, and read from them", () => {
      for (const [hex, presentation] of [
        ["00", "."],
        ["03777777046578616d00", "www.exam"],
        ["03612e6200", "a\\.b"],
        ["02615c00", "a\\\\"],
        ["05200021ff7f00", "\\032\\000!\\255\\127"],
        ["0722242829 3b4062 00", '\\"\\$\\(\\)\\;\\@b'],
        ["0141 0161 00", "A.a"],
      ] as const) {
        const b = bytes(header(0) + hex);
        expect.soft(name(b, 12)).toEqual([presentation, b.length]);
        expect.soft(toWire(presentation)).toEqual(bytes(hex));
      }
      expect(toWire("www.exam.")).toEqual(bytes("03777777046578616d00"));
      expect(toWire("\\119\\ww")).toEqual(bytes("0377777700"));
      expect(toWire("a\\ b")).toEqual(bytes("0361206200"));
    });

    it("that are none are refused", () => {
      for (const s of [
        "",
        "..",
        ".a",
        "a..b",
        "a..",
        "\\",
        "a\\",
        "\\1",
        "\\12",
        "\\25x",
        "\\256",
        "\\999",
        "a b",
        "\ta",
        "\x7f",
        "\x80",
        "a\0b",
      ]) {
        expect.soft([s, toWire(s)]).toEqual([s, Drop.BadName]);
      }
      const l63 = "x".repeat(63);
      expect(toWire(l63)).toHaveLength(65);
      expect(toWire(`${l63}x`)).toBe(Drop.BadName);
      expect(toWire(`${l63}.${l63}.${l63}.${"y".repeat(61)}`)).toHaveLength(255);
      expect(toWire(`${l63}.${l63}.${l63}.${"y".repeat(61)}.`)).toHaveLength(255);
      expect(toWire(`${l63}.${l63}.${l63}.${"y".repeat(62)}`)).toBe(Drop.BadName);
      expect(toWire(`${"a.".repeat(127)}`)).toHaveLength(255);
      expect(toWire(`${"a.".repeat(127)}a`)).toBe(Drop.BadName);
      expect(toWire("\\097".repeat(63))).toHaveLength(65);
    });

    it("come back from their text (property)", () => {
      const label = fc.uint8Array({ minLength: 1, maxLength: 20 });
      fc.assert(
        fc.property(fc.array(label, { maxLength: 10 }), (labels) => {
          const hex = `${labels.map((l) => Buffer.from([l.length, ...l]).toString("hex")).join("")}00`;
          const r = name(bytes(header(0) + hex), 12);
          expect(r).not.toBeTypeOf("number");
          expect(toWire((r as [string, number])[0])).toEqual(bytes(hex));
        }),
        { seed: 1035, numRuns: 300 },
      );
    });
  });

  describe("data", () => {
    const owner = "0161 00";
    const answer = (type: number, rdata: string, cls = "0001"): Uint8Array => {
      const data = rdata.replace(/\s/g, "");
      const hex4 = (n: number): string => n.toString(16).padStart(4, "0");
      return bytes(`${header(0, 1)}${owner}${hex4(type)}${cls}0000003c${hex4(data.length / 2)}${data}`);
    };
    it("of a known type has its shape", () => {
      for (const [type, rdata, drop] of [
        [1, "01020304", Drop.None],
        [1, "010203", Drop.BadLength],
        [1, "0102030405", Drop.BadLength],
        [1, "", Drop.BadLength],
        [28, "00".repeat(16), Drop.None],
        [28, "00".repeat(15), Drop.BadLength],
        [2, "016200", Drop.None],
        [5, "c00c", Drop.None],
        [12, "01", Drop.Truncated],
        [12, "0162 00 00", Drop.BadLength],
        [5, "", Drop.BadLength],
        [5, "c019", Drop.BadName],
        [15, "000a c00c", Drop.None],
        [15, "000a", Drop.BadLength],
        [15, "00", Drop.BadLength],
        [16, "00", Drop.None],
        [16, "0161 026263", Drop.None],
        [16, "", Drop.BadLength],
        [16, "0261", Drop.BadLength],
        [6, `c00c c00c ${"00".repeat(20)}`, Drop.None],
        [6, `c00c c00c ${"00".repeat(19)}`, Drop.BadLength],
        [6, `c00c c00c ${"00".repeat(21)}`, Drop.BadLength],
        [6, "c00c", Drop.BadLength],
        [33, "0001 0002 0050 c00c", Drop.None],
        [33, "0001 0002 0050", Drop.BadLength],
        [65, "ffffff", Drop.None],
        [65, "", Drop.None],
        [0, "00", Drop.None],
      ] as const) {
        expect.soft([type, rdata, check(answer(type, rdata))]).toEqual([type, rdata, drop]);
      }
    });

    it("may be empty in an update, and has its own shape in other classes", () => {
      expect(check(answer(1, "", "00ff"))).toBe(Drop.None);
      expect(check(answer(5, "", "00fe"))).toBe(Drop.None);
      expect(check(answer(1, "016100 1234", "0003"))).toBe(Drop.None);
    });

    it("of an OPT stands once, at the root, among the additionals", () => {
      const opt = (o: string): string => `00 0029 1000 00008000 ${o}`;
      expect(check(bytes(`${header(0, 0, 0, 1)}${opt("0000")}`))).toBe(Drop.None);
      expect(check(bytes(`${header(0, 0, 0, 1)}${opt("0008 000a0004 01020304")}`))).toBe(Drop.None);
      expect(check(bytes(`${header(0, 0, 0, 1)}${opt("0003 000a00")}`))).toBe(Drop.BadOption);
      expect(check(bytes(`${header(0, 0, 0, 1)}${opt("0005 000a0002 01")}`))).toBe(Drop.BadOption);
      expect(check(bytes(`${header(0, 0, 0, 2)}${opt("0000")}${opt("0000")}`))).toBe(Drop.BadOption);
      expect(check(bytes(`${header(0, 1)}${opt("0000")}`))).toBe(Drop.BadOption);
      expect(check(bytes(`${header(0, 0, 0, 1)}0161${opt("0000")}`))).toBe(Drop.BadOption);
    });
  });

  it("reads any bytes, and reads no byte behind them (property)", () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.constantFrom(...real), fc.array(fc.tuple(fc.nat(999), fc.nat(255)), { maxLength: 6 }))
        .map(([b, edits]) => {
          const copy = Uint8Array.from(b);
          for (const [at, v] of edits) copy[at % copy.length] = v;
          return copy;
        }),
    );
    fc.assert(
      fc.property(noise, (b) => {
        const verdict = check(b);
        // other bytes behind the message change nothing
        core.u8.fill(0x01, p + b.length, p + b.length + 1000);
        expect(core.x.dnsCheck(p, b.length)).toBe(verdict);
        if (verdict !== Drop.None) return;
        let at = 12;
        for (let n = core.x.dnsQdcount(p); n > 0; n--) at = core.x.dnsQuestion(p, b.length, at, words);
        for (let n = core.x.dnsAncount(p) + core.x.dnsNscount(p) + core.x.dnsArcount(p); n > 0; n--) {
          at = core.x.dnsRecord(p, b.length, at, words);
          expect(at).toBeGreaterThan(0);
        }
        expect(at).toBeLessThanOrEqual(b.length);
      }),
      { seed: 1035, numRuns: 3000 },
    );
  });

  describe("writer", () => {
    const { x } = core;
    const putWire = (s: string): number => {
      toWire(s);
      return wire;
    };
    const written = (): string => Buffer.from(core.u8.subarray(p, p + x.dnsLength(writer))).toString("hex");

    it("writes what a real server wrote, into a buffer of 0xa5", () => {
      put(new Uint8Array(0));
      expect(!!x.dnsBegin(writer, p, 512, 0x1001, 0x8580)).toBe(true);
      expect(!!x.dnsPutQuestion(writer, putWire("www.test"), 1, 1)).toBe(true);
      expect(!!x.dnsBeginRecord(writer, 6, putWire("www.test"), 1, 1, 60)).toBe(true);
      expect(!!x.dnsPut32(writer, 0xc0000250)).toBe(true);
      expect(!!x.dnsEndRecord(writer)).toBe(true);
      expect(written()).toBe(Buffer.from(real[1]!).toString("hex"));
      expect(core.u8.subarray(p + real[1]!.length, p + 600).every((b) => b === 0xa5)).toBe(true);
    });

    it("points to the earliest place of the longest suffix, letter case included", () => {
      put(new Uint8Array(0));
      x.dnsBegin(writer, p, 512, 0, 0);
      for (const s of ["f.isi.arpa", "foo.f.isi.arpa", "arpa", ".", "F.isi.arpa", "bar.foo.f.isi.arpa"])
        x.dnsPutQuestion(writer, putWire(s), 1, 1);
      const q = "00010001";
      expect(written()).toBe(
        `0000 0000 0006 0000 0000 0000 0166 03697369 0461727061 00 ${q} 03666f6f c00c ${q} c012 ${q} 00 ${q} 0146 c00e ${q} 03626172 c01c ${q}`.replaceAll(
          " ",
          "",
        ),
      );
      for (const [at, s] of [
        [12, "f.isi.arpa"],
        [28, "foo.f.isi.arpa"],
        [38, "arpa"],
      ] as const) {
        const r = x.dnsName(p, x.dnsLength(writer), at, wire);
        const n = x.dnsNameToText(wire, r >>> 16, text);
        expect(Buffer.from(core.u8.subarray(text, text + n)).toString()).toBe(s);
      }
    });

    it("points nowhere at or above 0x4000", () => {
      x.dnsBegin(writer, p, 65535, 0, 0);
      x.dnsBeginRecord(writer, 6, putWire("."), 65, 1, 0);
      x.dnsPutBytes(writer, p, 0x4000 - 12 - 11 - 2);
      x.dnsEndRecord(writer);
      // its first label lies below the limit, the second one above it
      x.dnsPutQuestion(writer, putWire("a.bc"), 1, 1);
      const at = x.dnsLength(writer);
      expect(at).toBe(0x4000 - 2 + 6 + 4);
      x.dnsPutQuestion(writer, putWire("bc"), 1, 1);
      expect(x.dnsLength(writer) - at).toBe(4 + 4);
      const then = x.dnsLength(writer);
      x.dnsPutQuestion(writer, putWire("a.bc"), 1, 1);
      expect(x.dnsLength(writer) - then).toBe(2 + 4);
    });

    it("leaves the message as it was when something does not fit", () => {
      for (let room = 0; room < 60; room++) {
        put(new Uint8Array(0));
        const begun = !!x.dnsBegin(writer, p, room, 7, 0);
        expect(begun).toBe(room >= 12);
        if (!begun) continue;
        const q = !!x.dnsPutQuestion(writer, putWire("www.test"), 1, 1);
        expect(q).toBe(room >= 26);
        const before = written();
        let fits = !!x.dnsBeginRecord(writer, 6, putWire("other.test"), 1, 1, 60);
        if (fits) fits = !!(x.dnsPut32(writer, 1) ? x.dnsEndRecord(writer) : x.dnsAbandon(writer));
        if (!fits) expect(written()).toBe(before);
        expect(fits).toBe(room >= (q ? 26 + 8 + 14 : 12 + 12 + 14));
        expect(x.dnsCheck(p, x.dnsLength(writer))).toBe(Drop.None);
        expect(core.u8.subarray(p + Math.max(room, 12), p + 100).every((b) => b === 0xa5)).toBe(true);
      }
      // what an abandoned record taught is forgotten
      x.dnsBegin(writer, p, 512, 0, 0);
      x.dnsBeginRecord(writer, 6, putWire("gone.test"), 1, 1, 60);
      x.dnsAbandon(writer);
      x.dnsPutQuestion(writer, putWire("gone.test"), 1, 1);
      expect(x.dnsLength(writer)).toBe(12 + 11 + 4);
    });

    it("forgets labels when its table is full, and stays right", () => {
      x.dnsBegin(writer, p, 65535, 0, 0);
      for (let i = 0; i < 1500; i++) expect(!!x.dnsPutQuestion(writer, putWire(`n${i}`), 1, 1)).toBe(true);
      expect(core.u32[(writer + DnsWriter.Labels) >> 2]).toBe(1024);
      expect(x.dnsCheck(p, x.dnsLength(writer))).toBe(Drop.None);
      expect(core.u8.subarray(writer + DnsWriter.Size, writer + DnsWriter.Size + 100).every((b) => b === 0)).toBe(true);
    });
  });
});
