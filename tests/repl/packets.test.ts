// Packets by hand, their fields, and the bits on a wire.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CaptureReader, copyPacket } from "../../src/capture/reader.ts";
import { loadCore } from "../../src/node/core.ts";
import { bitsOf, frameCheck, manchester, onWire } from "../../src/repl/bits.ts";
import { FieldReader } from "../../src/repl/fields.ts";
import { makePacket } from "../../src/repl/make.ts";
import { changedBytes } from "../../src/repl/view.ts";
import { LineError } from "../../src/repl/words.ts";
import { root } from "./support.ts";

const reader = new FieldReader(loadCore());
const ends = {
  srcMac: Uint8Array.of(2, 0, 0, 0, 0, 1),
  dstMac: Uint8Array.of(2, 0, 0, 0, 0, 2),
  srcIp: 0x0a000001,
};

/** Names to values and meanings of a packet. */
function fieldsOf(bytes: Uint8Array): Map<string, string> {
  const out = new Map<string, string>();
  for (const l of reader.read(bytes, true)) for (const f of l.fields) out.set(f.name, `${f.value}  ${f.meaning}`);
  return out;
}

describe("bits", () => {
  it("the check sequence is CRC-32", () => {
    expect(frameCheck(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    // a frame with its own check sequence leaves the residue (IEEE 802.3 §3.2.9)
    const { bytes } = onWire(Uint8Array.from({ length: 100 }, (_, i) => i));
    expect(~frameCheck(bytes.subarray(8)) >>> 0).toBe(0xdebb20e3);
  });

  it("a short frame is padded to 64 bytes, behind preamble and delimiter", () => {
    const { bytes, padding } = onWire(new Uint8Array(42));
    expect([bytes.length, padding]).toEqual([72, 18]);
    expect(Array.from(bytes.subarray(0, 8))).toEqual([0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5]);
  });

  it("the lowest bit first; a one rises", () => {
    expect(bitsOf(0xd5)).toBe("10101011");
    expect(manchester(0x01)).toBe("_--_-_-_-_-_-_-_");
  });
});

describe("packets by hand", () => {
  it("as it stands in the help", () => {
    const bytes = makePacket('eth / ip dst 10.0.0.1 ttl 5 / tcp dport 80 flags S / "data"', 1, ends);
    expect(Buffer.from(bytes).toString("hex")).toBe(
      "0200000000020200000000010800" +
        "4500002c00000000050661c80a0000010a000001".replace(
          "61c8",
          Buffer.from(bytes.subarray(24, 26)).toString("hex"),
        ) +
        "9c400050000000010000000050" +
        "02ffff" +
        Buffer.from(bytes.subarray(50, 52)).toString("hex") +
        "0000" +
        "64617461",
    );
    const f = fieldsOf(bytes);
    expect(f.get("ip.checksum")).toMatch(/ {2}right$/);
    expect(f.get("tcp.checksum")).toMatch(/ {2}right$/);
    expect(f.get("ip.ttl")).toMatch(/^5 /);
    expect(f.get("tcp.hdr_len, tcp.flags")).toBe("20, 0x002  SYN");
  });

  it("checksums and lengths are right whatever is said", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("udp", "tcp", "icmp"),
        fc.ipV4(),
        fc.integer({ min: 0, max: 255 }),
        fc.uint8Array({ maxLength: 60 }),
        fc.boolean(),
        (proto, dst, ttl, data, tagged) => {
          const hex = data.length === 0 ? "" : ` / hex ${Buffer.from(data).toString("hex")}`;
          const line = `x eth${tagged ? " / vlan id 5" : ""} / ip dst ${dst} ttl ${ttl} / ${proto}${hex}`;
          const f = fieldsOf(makePacket(line, 3, ends));
          expect(f.get("ip.checksum")).toMatch(/ {2}right$/);
          expect(f.get(`${proto}.checksum`)).toMatch(/ {2}right$/);
          expect(f.get("ip.dst")).toBe(`${dst}  whom it is for`);
          expect(f.get("ip.ttl")).toMatch(new RegExp(`^${ttl} `));
        },
      ),
    );
  });

  it("ARP asks everybody", () => {
    const f = fieldsOf(makePacket("eth / arp tpa 10.0.0.2", 1, ends));
    expect(f.get("eth.dst")).toBe("ff:ff:ff:ff:ff:ff  everybody on this link");
    expect(f.get("arp.src.proto_ipv4")).toMatch(/^10\.0\.0\.1 /);
  });

  it("what is wrong has its column", () => {
    const column = (line: string): number => {
      try {
        makePacket(line, 1, ends);
      } catch (e) {
        if (e instanceof LineError) return e.column;
        throw e;
      }
      return 0;
    };
    expect(column("eth / ip dst 10.0.0 / tcp")).toBe(14);
    expect(column("eth / foo")).toBe(7);
    expect(column("eth / tcp flags SX")).toBe(17);
    expect(column("eth src 02:00 / arp")).toBe(9);
    expect(column('eth / "a" "b"')).toBe(11);
  });
});

describe("fields", () => {
  const packets: Uint8Array[] = [];
  for (const name of ["router", "host"]) {
    const r = new CaptureReader();
    r.push(readFileSync(join(root, `fixtures/demo/${name}.pcapng`)));
    while (r.next()) packets.push(copyPacket(r).data);
  }

  it("each byte of every frame of the demo belongs to one field", () => {
    expect(packets.length).toBeGreaterThan(100);
    for (const bytes of packets) {
      const owner = new Uint8Array(bytes.length);
      for (const l of reader.read(bytes, true))
        for (const f of l.fields) for (let i = f.at; i < f.at + f.length; i++) owner[i]!++;
      expect(owner.every((n) => n === 1)).toBe(true);
    }
  });

  it("any bytes are read: no field reaches beyond them", () => {
    fc.assert(
      fc.property(fc.constantFrom(...packets), fc.nat(200), fc.nat(200), fc.nat(255), (bytes, cut, at, value) => {
        const b = bytes.slice(0, Math.min(cut, bytes.length));
        if (b.length > 0) b[at % b.length] = value;
        for (const ethernet of [true, false]) {
          for (const l of reader.read(b, ethernet)) {
            for (const f of l.fields) {
              expect(f.at).toBeGreaterThanOrEqual(0);
              expect(f.at + f.length).toBeLessThanOrEqual(b.length);
            }
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("what changed is found behind a header of another length", () => {
    const before = { bytes: Uint8Array.of(9, 9, 1, 2, 3), net: 2, ethernet: true };
    const after = { bytes: Uint8Array.of(7, 7, 7, 7, 1, 5, 3, 4), net: 4, ethernet: true };
    expect([...changedBytes(after, before)]).toEqual([2, 3, 5, 7]);
    expect([...changedBytes(after, null)]).toEqual([]);
  });
});
