// src/host/netfilter/iptables/target/mark.ts: marks and classes on packets and connections (xt_mark, xt_connmark, xt_CLASSIFY, xt_CT).

import { Pkt } from "../../../../../assembly/layout.ts";
import { Outcome, type Target } from "../rule.ts";
import type { TargetMaker } from "../targets.ts";
import { type Option, hex } from "../words.ts";

interface Bits {
  readonly value: number;
  readonly mask: number;
}

const ALL = 0xffffffff;

/** The options that MARK and CONNMARK share: they all are `(mark & ~mask) ^ value`. */
function readSet(o: Option): Bits | null {
  switch (o.name) {
    case "--set-xmark":
      return o.plain().masked();
    case "--set-mark": {
      const { value, mask } = o.plain().masked();
      return { value, mask: (mask | value) >>> 0 };
    }
    case "--and-mark":
      return { value: 0, mask: ~o.plain().number(0, ALL) >>> 0 };
    case "--or-mark": {
      const v = o.plain().number(0, ALL);
      return { value: v, mask: v };
    }
    case "--xor-mark":
      return { value: o.plain().number(0, ALL), mask: 0 };
    default:
      return null;
  }
}

const mark: TargetMaker = (place, fail) => {
  if (place.table !== "mangle" && place.backend === "legacy") fail("target 'MARK' is only valid in the mangle table");
  let bits: Bits | null = null;
  return {
    option(o) {
      const b = readSet(o);
      if (b === null) return false;
      if (bits !== null) o.fail("MARK: only one action is allowed");
      bits = b;
      return true;
    },
    finish(missing: (m: string) => never): Target {
      const b = bits as Bits | null;
      if (b === null) missing("target 'MARK' needs --set-xmark, --set-mark, --and-mark, --or-mark or --xor-mark");
      const { value, mask } = b;
      return {
        text: `MARK --set-xmark ${hex(value)}/${hex(mask)}`,
        run(c) {
          c.setField(Pkt.Mark, (c.field(Pkt.Mark) & ~mask) ^ value);
          return Outcome.Continue;
        },
      };
    },
  };
};

const connmark: TargetMaker = (place) => {
  const t = place.host.conntrack;
  let set: Bits | null = null;
  let move = "";
  let nfMask = ALL;
  let ctMask = ALL;
  return {
    option(o) {
      const b = readSet(o);
      if (b !== null) {
        if (set !== null || move !== "") o.fail("CONNMARK: only one action is allowed");
        set = b;
        return true;
      }
      switch (o.name) {
        case "--save-mark":
        case "--restore-mark":
          if (set !== null || move !== "") o.fail("CONNMARK: only one action is allowed");
          move = o.plain().name;
          return true;
        case "--nfmask":
          nfMask = o.plain().number(0, ALL);
          return true;
        case "--ctmask":
          ctMask = o.plain().number(0, ALL);
          return true;
        case "--mask":
          nfMask = ctMask = o.plain().number(0, ALL);
          return true;
        default:
          return false;
      }
    },
    finish(missing): Target {
      const s = set as Bits | null;
      if (s !== null) {
        return {
          text: `CONNMARK --set-xmark ${hex(s.value)}/${hex(s.mask)}`,
          tracks: true,
          run(c) {
            if (c.field(Pkt.Ct) !== 0) t.setMark(c.frame, ((t.mark(c.frame) & ~s.mask) ^ s.value) >>> 0);
            return Outcome.Continue;
          },
        };
      }
      if (move === "") missing("target 'CONNMARK' needs an action");
      const text = `CONNMARK ${move} --nfmask ${hex(nfMask)} --ctmask ${hex(ctMask)}`;
      const save = move === "--save-mark";
      return {
        text,
        tracks: true,
        run(c) {
          if (c.field(Pkt.Ct) === 0) return Outcome.Continue;
          if (save) t.setMark(c.frame, ((t.mark(c.frame) & ~ctMask) ^ (c.field(Pkt.Mark) & nfMask)) >>> 0);
          else c.setField(Pkt.Mark, (c.field(Pkt.Mark) & ~nfMask) ^ (t.mark(c.frame) & ctMask));
          return Outcome.Continue;
        },
      };
    },
  };
};

const classify: TargetMaker = () => {
  let value = -1;
  return {
    option(o: Option) {
      if (o.name !== "--set-class") return false;
      const word = o.plain().value("major:minor");
      const m = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(word);
      if (m === null) o.fail(`--set-class: '${word}' is no class, expected major:minor in hex`);
      value = parseInt(m[1]!, 16) * 65536 + parseInt(m[2]!, 16);
      return true;
    },
    finish(missing): Target {
      if (value < 0) missing("target 'CLASSIFY' needs --set-class");
      const part = (v: number): string => v.toString(16).padStart(4, "0");
      return {
        text: `CLASSIFY --set-class ${part(value >>> 16)}:${part(value & 65535)}`,
        run(c) {
          c.setField(Pkt.Priority, value);
          return Outcome.Continue;
        },
      };
    },
  };
};

/** NOTRACK and CT --notrack: a packet that has no connection yet never gets one. */
const notrack =
  (text: string, option: string): TargetMaker =>
  (place, fail) => {
    if (place.table !== "raw") fail(`target '${text.split(" ")[0]}' is only valid in the raw table`);
    const t = place.host.conntrack;
    let given = option === "";
    return {
      option(o) {
        if (option === "" || o.name !== option) return false;
        given = o.plain() !== null;
        return true;
      },
      finish(missing): Target {
        if (!given) missing("target 'CT' is supported with --notrack only");
        return {
          text,
          run(c) {
            if (c.field(Pkt.Ct) === 0) t.notrack(c.frame);
            return Outcome.Continue;
          },
        };
      },
    };
  };

export const markTargets: Readonly<Record<string, TargetMaker>> = {
  MARK: mark,
  CONNMARK: connmark,
  CLASSIFY: classify,
  NOTRACK: notrack("NOTRACK", ""),
  CT: notrack("CT --notrack", "--notrack"),
};
