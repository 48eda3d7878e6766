// src/host/netfilter/nft/limit.ts: `limit rate`: token buckets of nanoseconds (nft_limit).

import { tokenBucket } from "../iptables/match/rate.ts";
import { type Reader, show } from "./lexer.ts";
import { Code, type Statement } from "./verdict.ts";

const units: Readonly<Record<string, number>> = { second: 1, minute: 60, hour: 3600, day: 86400, week: 604800 };
const sizes: Readonly<Record<string, number>> = { bytes: 1, kbytes: 1024, mbytes: 1024 * 1024 };

/** `limit rate [over] 10/second [burst 5 packets]`, `limit rate 10 mbytes/second [burst 1 kbytes]` */
export function parseLimit(r: Reader, clock: { readonly now: number }): Statement {
  r.expect("limit");
  r.expect("rate");
  const over = r.take("over");
  const t = r.word("a rate such as 10/second");
  const m = /^(\d+)(?:\/([a-z]+))?$/.exec(t.text);
  const rate = m === null ? 0 : Number(m[1]);
  if (m === null || rate === 0) r.fail(t, `expected a rate such as 10/second, got ${show(t)}`);
  const unitOf = (name: string): number =>
    units[name] ?? r.fail(t, `unknown unit '${name}', expected one of ${Object.keys(units).join(", ")}`);
  if (m[2] !== undefined) {
    const seconds = unitOf(m[2]);
    let burst = 5;
    if (r.take("burst")) {
      burst = r.number("a number of packets");
      r.expect("packets");
      if (burst === 0) burst = 5;
    }
    const cost = Math.floor((seconds * 1e9) / rate);
    const within = tokenBucket(clock, cost, cost * burst);
    return {
      text: `limit rate ${over ? "over " : ""}${rate}/${m[2]}${burst === 5 ? "" : ` burst ${burst} packets`}`,
      run: () => (within() === over ? Code.Break : Code.Continue),
    };
  }
  const w = r.word("bytes/second");
  const [size, per] = w.text.split("/");
  const factor = sizes[size!] ?? r.fail(w, `unknown size '${size}', expected bytes, kbytes or mbytes`);
  const seconds = unitOf(per ?? "");
  let burst = 0;
  let burstText = "";
  if (r.take("burst")) {
    const n = r.number("a number of bytes");
    const s = r.word("bytes, kbytes or mbytes");
    burst = n * (sizes[s.text] ?? r.fail(s, `unknown size '${s.text}'`));
    burstText = burst === 0 ? "" : ` burst ${n} ${s.text}`;
  }
  const bytes = rate * factor;
  const nsecs = seconds * 1e9;
  const max = (nsecs * (bytes + burst)) / bytes;
  let tokens = max;
  let last = clock.now;
  return {
    text: `limit rate ${over ? "over " : ""}${rate} ${w.text}${burstText}`,
    run(c) {
      const now = clock.now;
      tokens = Math.min(tokens + now - last, max);
      last = now;
      const cost = Math.floor((nsecs * c.len) / bytes);
      const fits = tokens >= cost;
      if (fits) tokens -= cost;
      return fits === over ? Code.Break : Code.Continue;
    },
  };
}
