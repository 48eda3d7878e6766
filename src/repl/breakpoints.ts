// src/repl/breakpoints.ts: where the world is to stop: at a device, at a drop, at a rule, at an address.

import { parseIpv4 } from "../core/address.ts";
import type { Namespace } from "../host/namespace.ts";
import type { FieldReader } from "./fields.ts";
import type { Seen } from "./session.ts";
import { LineError, number, type Words } from "./words.ts";

interface Breakpoint {
  readonly number: number;
  readonly text: string;
  readonly hit: (e: Seen, reader: FieldReader) => boolean;
}

export class Breakpoints {
  private list: Breakpoint[] = [];
  private next = 1;
  /** Which one stopped the world last. */
  reason = "";

  /** Whether one of them is hit. */
  hit(e: Seen, reader: FieldReader): boolean {
    for (const b of this.list) {
      if (!b.hit(e, reader)) continue;
      this.reason = `breakpoint ${b.number} (${b.text})`;
      return true;
    }
    this.reason = "";
    return false;
  }

  /** `break`: the list; `break drop`, `break rule TEXT`, `break ADDRESS`, `break [host] NODE [DEV]`. */
  add(line: string, words: Words, nodes: ReadonlyMap<string, Namespace>): string {
    if (words.peek() === null)
      return this.list.length === 0 ? "no breakpoints" : this.list.map((b) => `${b.number}  ${b.text}`).join("\n");
    const first = words.take("");
    if (first.text === "drop") {
      words.done();
      return this.put("drop", (e) => e.kind === "drop");
    }
    if (first.text === "rule") {
      const from = words.take("a part of a rule's text").column;
      const text = line
        .slice(from - 1)
        .trim()
        .replace(/^(['"])(.*)\1$/, "$2");
      return this.put(`rule ${text}`, (e) => e.kind === "rule" && e.text.includes(text));
    }
    const address = parseIpv4(first.text);
    if (address !== null) {
      words.done();
      const d = [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255];
      const at = (b: Uint8Array, p: number): boolean => d.every((v, i) => b[p + i] === v);
      return this.put(first.text, (e) => {
        const p = e.packet;
        if (p === null || p.net < 0 || (e.kind !== "receive" && e.kind !== "originate" && e.kind !== "transmit"))
          return false;
        // ARP has its addresses elsewhere
        if (p.bytes[p.net]! >> 4 === 4) return at(p.bytes, p.net + 12) || at(p.bytes, p.net + 16);
        return at(p.bytes, p.net + 14) || at(p.bytes, p.net + 24);
      });
    }
    const word =
      first.text === "host" &&
      words.peek() !== null &&
      !(nodes.has("host") && nodes.get("host")!.byName.has(words.peek()!.text))
        ? words.take("a host")
        : first;
    const ns = nodes.get(word.text);
    if (ns === undefined)
      throw new LineError(
        word.column,
        `'${word.text}', expected drop, rule TEXT, an address, or a host and its device`,
      );
    const dev = words.peek() === null ? null : words.take("");
    words.done();
    if (dev !== null && !ns.byName.has(dev.text)) {
      throw new LineError(
        dev.column,
        `${ns.name} has no device '${dev.text}', expected one of: ${ns.interfaces.map((d) => d.name).join(", ")}`,
      );
    }
    return this.put(`${ns.name}${dev === null ? "" : ` ${dev.text}`}`, (e) => {
      if (e.node !== ns.name) return false;
      return dev === null
        ? e.kind === "receive" || e.kind === "originate"
        : e.iface === dev.text && (e.kind === "receive" || e.kind === "transmit");
    });
  }

  /** `delete`: all; `delete N`. */
  remove(words: Words): string {
    if (words.peek() === null) {
      this.list = [];
      return "no breakpoints";
    }
    const w = words.take("");
    const n = number(w, 1, 1e9, "a breakpoint's number");
    words.done();
    if (!this.list.some((b) => b.number === n)) throw new LineError(w.column, `there is no breakpoint ${n}`);
    this.list = this.list.filter((b) => b.number !== n);
    return `breakpoint ${n} is gone`;
  }

  private put(text: string, hit: Breakpoint["hit"]): string {
    const b = { number: this.next++, text, hit };
    this.list.push(b);
    return `breakpoint ${b.number}: ${text}`;
  }
}
