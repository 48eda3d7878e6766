// src/lab/verify.ts: what the real node sent, and how the emulated one compares.

import type { Namespace } from "../host/namespace.ts";
import { type Comparison, compareFrames } from "./compare.ts";
import { difference, likeness, summary } from "./difference.ts";
import type { Sent } from "./replay.ts";

interface Expected {
  readonly numbers: number[];
  readonly frames: Uint8Array[];
}

export class Verification {
  private readonly expected = new Map<string, Expected>();
  /** After `report`: nothing is missing, extra or out of order. */
  same = false;
  /** After `report`: how many frames of the real node were sent as well, and how many there are. */
  equal = 0;
  total = 0;

  constructor(private readonly node: Namespace) {
    for (const dev of node.interfaces)
      if (dev.kind === "veth") this.expected.set(dev.name, { numbers: [], frames: [] });
  }

  /** A frame that the real node sent; copies it. Bridge devices are not on a wire: what they send, a port sends. */
  expect(iface: string, number: number, frame: Uint8Array): void {
    const e = this.expected.get(iface);
    if (e === undefined) return;
    e.numbers.push(number);
    e.frames.push(frame.slice());
  }

  /** Each interface's counts, then the first difference field by field. */
  report(sent: readonly Sent[]): string {
    const local = new Set(this.node.interfaces.flatMap((dev) => this.node.fib.addresses(dev).map((a) => a.local)));
    const lines: string[] = [];
    let first: string[] | null = null;
    for (const [iface, e] of this.expected) {
      const got = sent.filter((s) => s.node === this.node.name && s.iface === iface).map((s) => s.bytes);
      const r = compareFrames(e.frames, got, local);
      this.total += r.expected;
      this.equal += r.exact + r.id + r.rand;
      lines.push(
        `${this.node.name}.${iface} expected ${r.expected} exact ${r.exact} id ${r.id} rand ${r.rand} ` +
          `missing ${r.missing.length} extra ${r.extra.length} reordered ${r.reordered}`,
      );
      if (first === null && !isSame(r)) first = this.explain(iface, e, got, r);
    }
    this.same = first === null;
    lines.push(`${this.equal} of ${this.total} frames equal`);
    return `${[...lines, ...(first ?? [])].join("\n")}\n`;
  }

  private explain(iface: string, e: Expected, got: readonly Uint8Array[], r: Comparison): string[] {
    const n = r.missing[0];
    if (n === undefined) {
      const k = r.extra[0];
      if (k === undefined) return [`first difference: ${iface}: ${r.reordered} frames out of order`];
      return [`first difference: ${iface}: sent, and the real node did not: ${summary(got[k]!)}`];
    }
    const frame = e.frames[n]!;
    const head = `first difference: ${iface}: packet ${e.numbers[n]} ${summary(frame)}`;
    let best = -1;
    for (const k of r.extra) if (best < 0 || likeness(frame, got[k]!) > likeness(frame, got[best]!)) best = k;
    if (best < 0) return [`${head}: not sent`];
    return [`${head}; the likest sent: ${summary(got[best]!)}`, ...difference(frame, got[best]!).map((d) => `  ${d}`)];
  }
}

function isSame(r: Comparison): boolean {
  return r.missing.length === 0 && r.extra.length === 0 && r.reordered === 0;
}
