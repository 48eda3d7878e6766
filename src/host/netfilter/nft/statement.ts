// src/host/netfilter/nft/statement.ts: the statements of rules.

import { Drop } from "../../../../assembly/drop.ts";
import { Pkt } from "../../../../assembly/layout.ts";
import type { Context } from "../context.ts";
import type { FirewallHost } from "../host.ts";
import { HEADERS, PathMtu } from "../pathmtu.ts";
import type { Reject } from "../reject.ts";
import { type Reader, show } from "./lexer.ts";
import { parseLimit } from "./limit.ts";
import { Lookup, formatElements, parseElements } from "./lookup.ts";
import { BROKEN, type Named, finder, parseMatch } from "./match.ts";
import { parseNat } from "./natstatement.ts";
import { Selectors } from "./selector.ts";
import { icmpCodes, parseAtom, types } from "./types.ts";
import { Code, type NamedVerdict, type Statement, isVerdict, parseVerdict } from "./verdict.ts";

/** Where a jump went: the evaluator reads it behind `Code.Jump` and `Code.Goto`. */
export interface Target {
  verdict: NamedVerdict | null;
}

export interface Scope extends Named {
  /** Verdicts whose chains must be found when the table is whole. */
  readonly verdicts: NamedVerdict[];
  verdictMap(name: string): Lookup<NamedVerdict> | null;
}

const levels = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];
const rejectCodesX: Readonly<Record<string, number>> = {
  "no-route": 0,
  "port-unreachable": 3,
  "host-unreachable": 1,
  "admin-prohibited": 13,
};
/** RFC 9293 §3.7.1, where the path says nothing. */
const DEFAULT_MSS = 536;
const TCP = 6;

export class Statements {
  readonly selectors: Selectors;

  constructor(
    private readonly host: FirewallHost,
    private readonly reject: Reject,
    private readonly family: "ip" | "inet",
    private readonly scope: Scope,
    private readonly target: Target,
  ) {
    this.selectors = new Selectors(host, family);
  }

  /** One statement; the comment is not one. */
  parse(r: Reader): Statement {
    const t = r.peek()!;
    if (t.kind === "word" && isVerdict(t.text)) {
      const v = parseVerdict(r);
      this.scope.verdicts.push(v.value);
      return this.verdict(v.value, v.text);
    }
    switch (t.text) {
      case "counter":
        return this.counter(r);
      case "log":
        return this.log(r);
      case "limit":
        return parseLimit(r, this.host.world.clock);
      case "reject":
        return this.refuse(r);
      case "dnat":
      case "snat":
      case "masquerade":
      case "redirect":
        return parseNat(r, this.host, this.family, this.selectors);
      case "notrack":
        r.next("notrack");
        return {
          text: "notrack",
          run: (c) => {
            if (c.field(Pkt.Ct) === 0) this.host.conntrack.notrack(c.frame);
            return Code.Continue;
          },
        };
      case "tcp":
        if (r.second()?.text === "option") return this.maxseg(r);
    }
    if (t.kind !== "word" || t.text === "ip6" || t.text === "icmpv6") r.fail(t, `${show(t)} is not supported`);
    if (t.text === "meta" && r.second()?.text === "priority") return this.priority(r);
    const first = this.selectors.parse(r);
    if (first === null) r.fail(t, `${show(t)} is not supported`);
    if (r.is("set")) return this.assign(r, first.text);
    const selectors = [first];
    while (r.take(".")) {
      const at = r.peek();
      const next = this.selectors.parse(r);
      if (next === null) return r.fail(at, "expected a field of the packet behind '.'");
      selectors.push(next);
    }
    if (r.is("vmap")) return this.vmap(r, selectors);
    return parseMatch(r, selectors, this.scope);
  }

  private verdict(v: NamedVerdict, text: string): Statement {
    const { target } = this;
    return {
      text,
      run() {
        target.verdict = v;
        return v.code;
      },
    };
  }

  private vmap(r: Reader, selectors: ReturnType<Selectors["concat"]>): Statement {
    r.expect("vmap");
    const t = r.peek();
    let lookup: Lookup<NamedVerdict>;
    let text: string;
    if (t !== null && t.text.startsWith("@")) {
      r.next("a map");
      const found = this.scope.verdictMap(t.text.slice(1));
      if (found === null) r.fail(t, `there is no map '${t.text.slice(1)}' of verdicts before this rule`);
      if (found.key.length !== selectors.length || found.key.some((k, i) => k.name !== selectors[i]!.type.name)) {
        r.fail(t, `map '${t.text.slice(1)}' has other keys: ${found.key.map((k) => k.name).join(" . ")}`);
      }
      lookup = found;
      text = t.text;
    } else {
      const made = new Lookup<NamedVerdict>(selectors.map((s) => s.type));
      parseElements(
        r,
        made,
        (reader) => {
          const v = parseVerdict(reader);
          this.scope.verdicts.push(v.value);
          return v;
        },
        undefined as unknown as NamedVerdict,
      );
      lookup = made;
      text = formatElements(made);
    }
    const find = finder(selectors, lookup);
    const { target } = this;
    return {
      text: `${selectors.map((s) => s.text).join(" . ")} vmap ${text}`,
      tracks: selectors.some((s) => s.tracks === true),
      run(c) {
        const v = find(c);
        if (v === BROKEN || v === undefined) return Code.Break;
        target.verdict = v;
        return v.code;
      },
    };
  }

  private counter(r: Reader): Statement {
    r.expect("counter");
    let packets = 0;
    let bytes = 0;
    if (r.is("name")) r.fail(r.peek(), "named counters are not supported");
    if (r.take("packets")) {
      packets = r.number("a number of packets", Number.MAX_SAFE_INTEGER);
      r.expect("bytes");
      bytes = r.number("a number of bytes", Number.MAX_SAFE_INTEGER);
    }
    return {
      text: () => `counter packets ${packets} bytes ${bytes}`,
      run(c) {
        packets++;
        bytes += c.len;
        return Code.Continue;
      },
    };
  }

  private log(r: Reader): Statement {
    r.expect("log");
    let prefix: string | null = null;
    let level = "warn";
    let group = -1;
    let all = false;
    for (;;) {
      if (r.take("prefix")) {
        const t = r.next("a prefix");
        if (t.kind !== "string") r.fail(t, `expected a prefix in quotes, got ${show(t)}`);
        if (t.text.length > 127) r.fail(t, "a log prefix has 127 characters at most");
        prefix = t.text;
      } else if (r.take("level")) {
        const t = r.word("a level");
        if (!levels.includes(t.text)) r.fail(t, `expected one of ${levels.join(", ")}, got ${show(t)}`);
        level = t.text;
      } else if (r.take("group")) group = r.number("a group", 65535);
      else if (r.is("flags")) {
        r.next("flags");
        const t = r.word("all");
        if (t.text !== "all") r.fail(t, `log flags are supported as 'all' only, got ${show(t)}`);
        all = true;
      } else break;
    }
    let text = "log";
    if (prefix !== null) text += ` prefix "${prefix}"`;
    if (group >= 0) text += ` group ${group}`;
    if (level !== "warn") text += ` level ${level}`;
    if (all) text += " flags all";
    const { host } = this;
    const said = `log ${prefix ?? ""}`.trimEnd();
    return {
      text,
      run(c) {
        if (host.world.tracer !== null) host.trace("rule", c.output ?? c.input, c.frame, said);
        return Code.Continue;
      },
    };
  }

  private refuse(r: Reader): Statement {
    r.expect("reject");
    const { host, reject } = this;
    const answer = (text: string, code: number): Statement => ({
      text,
      run(c) {
        if (code < 0 && c.proto !== TCP) return Code.Break;
        if (code < 0) reject.reset(c.frame);
        else reject.unreachable(c.frame, code);
        host.hooks.dropReason = Drop.NetfilterReject;
        return Code.Drop;
      },
    });
    if (!r.take("with")) return answer("reject", 3);
    if (r.take("tcp")) {
      r.expect("reset");
      return answer("reject with tcp reset", -1);
    }
    const kind = r.word("icmp, icmpx or tcp");
    if (kind.text !== "icmp" && !(kind.text === "icmpx" && this.family === "inet")) {
      r.fail(kind, `'reject with ${kind.text}' is not supported here`);
    }
    r.take("type");
    const t = r.word("a kind of rejection");
    const names = kind.text === "icmp" ? icmpCodes : rejectCodesX;
    const code = Object.hasOwn(names, t.text) ? names[t.text] : undefined;
    if (code === undefined)
      r.fail(t, `${show(t)} is no kind of rejection, expected one of ${Object.keys(names).join(", ")}`);
    const usual = code === 3 && (kind.text === "icmpx" || this.family === "ip");
    return answer(usual ? "reject" : `reject with ${kind.text} ${t.text}`, code);
  }

  /** `tcp option maxseg size set 1200|rt mtu` */
  private maxseg(r: Reader): Statement {
    r.expect("tcp");
    r.expect("option");
    const o = r.word("maxseg");
    if (o.text !== "maxseg") r.fail(o, `'tcp option ${o.text}' is not supported, expected maxseg`);
    r.expect("size");
    const at = r.peek();
    if (!r.take("set")) r.fail(at, "tcp option maxseg size is supported with 'set' only");
    const { host } = this;
    const { x } = host.world;
    const isTcp = (c: Context): boolean => c.proto === 6 && c.fragOffset === 0;
    const lower = (c: Context, mss: number): Code => {
      if (!isTcp(c) || x.mangleMss(c.frame, mss, false) < 0) return Code.Break;
      return Code.Continue;
    };
    if (r.take("rt")) {
      r.expect("mtu");
      const path = new PathMtu(host);
      return {
        text: "tcp option maxseg size set rt mtu",
        run(c) {
          const mtu = path.of(c);
          return lower(c, mtu <= HEADERS || mtu > 65535 ? DEFAULT_MSS : mtu - HEADERS);
        },
      };
    }
    const mss = r.number("a segment size", 65535);
    return { text: `tcp option maxseg size set ${mss}`, run: (c) => lower(c, mss) };
  }

  private priority(r: Reader): Statement {
    r.expect("meta");
    r.expect("priority");
    const at = r.peek();
    if (!r.take("set")) r.fail(at, "meta priority is supported with 'set' only");
    const part = (): number => {
      const t = r.word("a class");
      if (!/^[0-9a-f]{1,4}$/.test(t.text)) r.fail(t, `expected a class such as 1:a, got ${show(t)}`);
      return parseInt(t.text, 16);
    };
    const major = part();
    r.expect(":");
    const minor = part();
    return {
      text: `meta priority set ${major.toString(16)}:${minor.toString(16)}`,
      run(c) {
        c.setField(Pkt.Priority, ((major << 16) | minor) >>> 0);
        return Code.Continue;
      },
    };
  }

  /** `meta mark set ...`, `ct mark set ...`, `ip ttl set`, `ip dscp set`. */
  private assign(r: Reader, what: string): Statement {
    const set = r.expect("set");
    const { host } = this;
    const { x } = host.world;
    if (what === "ip ttl" || what === "ip dscp") {
      const a = parseAtom(r, what === "ip ttl" ? types.integer1 : types.dscp, false);
      if (a.low > (what === "ip ttl" ? 255 : 63)) r.fail(set, `${what}: ${a.low} is too large`);
      return {
        text: `${what} set ${a.text}`,
        run(c) {
          if (what === "ip ttl") x.mangleTtl(c.frame, a.low);
          else x.mangleTos(c.frame, a.low << 2, 0xfc);
          c.read();
          return Code.Continue;
        },
      };
    }
    if (what !== "meta mark" && what !== "ct mark") return r.fail(set, `'${what} set' is not supported`);
    const value = this.markValue(r);
    const toCt = what === "ct mark";
    return {
      text: `${what} set ${value.text}`,
      tracks: toCt || value.tracks,
      run(c) {
        const v = value.get(c);
        if (v < 0) return Code.Break;
        if (!toCt) c.setField(Pkt.Mark, v >>> 0);
        else if (c.field(Pkt.Ct) !== 0) host.conntrack.setMark(c.frame, v >>> 0);
        return Code.Continue;
      },
    };
  }

  /** A mark: a number, a field of the packet with operators behind it, or a map. */
  private markValue(r: Reader): { text: string; tracks: boolean; get: (c: Context) => number } {
    const t = r.peek();
    if (t !== null && /^\d/.test(t.text)) {
      const a = parseAtom(r, types.mark, false);
      return { text: a.text, tracks: false, get: () => a.low };
    }
    const list = this.selectors.concat(r);
    const tracks = list.some((s) => s.tracks === true);
    if (r.take("map")) {
      const lookup = new Lookup<number>(list.map((s) => s.type));
      parseElements(
        r,
        lookup,
        (reader) => {
          const a = parseAtom(reader, types.mark, false);
          return { value: a.low, text: a.text };
        },
        0,
      );
      const find = finder(list, lookup);
      return {
        text: `${list.map((s) => s.text).join(" . ")} map ${formatElements(lookup)}`,
        tracks,
        get(c) {
          const f = find(c);
          return f === BROKEN || f === undefined ? -1 : f;
        },
      };
    }
    const s = list[0]!;
    if (list.length > 1 || s.type.names === true) r.fail(t, "a mark is set from one field, a number or a map");
    const steps: { op: string; value: number; text: string }[] = [];
    const spelt: Readonly<Record<string, string>> = { and: "&", or: "|", xor: "^", "&": "&", "|": "|", "^": "^" };
    while (Object.hasOwn(spelt, r.peek()?.text ?? "")) {
      const o = r.next("an operator");
      const op = spelt[o.text]!;
      if (op === "&" && steps.some((p) => p.op !== "&")) r.fail(o, "'&' behind '|' or '^' is not supported");
      const a = parseAtom(r, types.mark, false);
      steps.push({ op, value: a.low, text: `${op} ${a.text}` });
    }
    return {
      text: [s.text, ...steps.map((p) => p.text)].join(" "),
      tracks,
      get(c) {
        let v = s.get(c) as number;
        if (v === -1) return -1;
        for (let i = 0; i < steps.length; i++) {
          const { op, value } = steps[i]!;
          v = op === "&" ? v & value : op === "|" ? v | value : v ^ value;
        }
        return v >>> 0;
      },
    };
  }
}
