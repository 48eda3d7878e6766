import fc from "fast-check";
import { expect, it } from "vitest";
import { Layer, LinkType, Rec, Status } from "../assembly/record.ts";
import { Dissection } from "../src/core/dissect.ts";
import { overBuilds } from "./support/cores.ts";

const hex = (s: string): Uint8Array => Uint8Array.from(s.replaceAll(" ", "").match(/../g)!, (b) => parseInt(b, 16));

/** A UDP datagram of four bytes behind two VLAN tags; both checksums are good. */
const tagged = hex(
  "020000000001 020000000002 8100 6005 8100 2006 0800" +
    "45000020000140004011 26ca 0a000001 0a000002 07d01389000c0bb461626364",
);

overBuilds("dissect", (make) => {
  const core = make();
  const d = new Dissection(core);
  const at = core.x.alloc(4096) >>> 0;
  const put = (b: Uint8Array, behind = 0): void => {
    core.u8.fill(behind, at, at + 2048);
    core.u8.set(b, at);
  };

  it("writes the record of a tagged datagram", () => {
    put(tagged);
    d.dissect(at, tagged.length, tagged.length, LinkType.Ethernet);
    expect(d.get(Rec.Layers)).toBe(
      (2 << 24) | Layer.Eth | Layer.Vlan | Layer.Ip | Layer.Udp | (Status.Good << 16) | (Status.Good << 18),
    );
    expect([Rec.Net, Rec.Trans, Rec.Payload, Rec.PayloadCap, Rec.PayloadLen].map((f) => d.get(f))).toEqual([
      22, 42, 50, 4, 4,
    ]);
    expect([Rec.Src, Rec.Dst, Rec.Ports].map((f) => d.get(f))).toEqual([0x0a000001, 0x0a000002, (2000 << 16) | 5001]);
    expect([d.get(Rec.NetLen), d.get(Rec.Type)]).toEqual([32, ((0x0800 << 16) | 17) >>> 0]);
  });

  it("finds the checksums bad after any bit of what they cover was turned", () => {
    for (let i = 22; i < tagged.length; i++) {
      // not version and length, nor fragment, protocol and UDP's length: they decide what is read
      if ([22, 24, 25, 28, 29, 31, 46, 47].includes(i)) continue;
      const b = tagged.slice();
      b[i] = b[i]! ^ 1;
      put(b);
      d.dissect(at, b.length, b.length, LinkType.Ethernet);
      const layers = d.get(Rec.Layers);
      const [net, trans] = [(layers >>> 16) & 3, (layers >>> 18) & 3];
      expect([i, net === Status.Good && trans === Status.Good]).toEqual([i, false]);
    }
  });

  it("reads nothing behind the captured bytes", () => {
    fc.assert(
      fc.property(
        fc.nat(tagged.length),
        fc.array(fc.tuple(fc.nat(tagged.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(60),
        fc.constantFrom(
          LinkType.Ethernet,
          LinkType.Raw,
          LinkType.LinuxSll,
          LinkType.LinuxSll2,
          LinkType.Null,
          LinkType.Loop,
          LinkType.Ipv4,
          147,
        ),
        (cut, changes, more, linkType) => {
          const b = tagged.slice();
          for (const [i, v] of changes) b[i] = v;
          const records = [0, 0xff].map((behind) => {
            put(b.subarray(0, cut), behind);
            d.dissect(at, cut, cut + more, linkType);
            return Array.from(core.u32.subarray(d.words, d.words + Rec.Size / 4));
          });
          expect(records[0]).toEqual(records[1]);
          expect(d.get(Rec.NetShown)).toBeLessThanOrEqual(cut);
          expect(d.get(Rec.Payload) + d.get(Rec.PayloadCap)).toBeLessThanOrEqual(Math.max(cut, d.get(Rec.Payload)));
        },
      ),
    );
  });
});
