// Random expressions, compiled by the tcpdump of this machine and by wirepath. Skipped where there is no tcpdump.

import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Program,
  compileFilter,
  formatProgram,
  loadFilter,
  parseProgram,
  unloadFilter,
} from "../../../src/capture/filter/index.ts";
import { coreOf } from "../../support/cores.ts";
import { difference, frames, place } from "./support.ts";

/** A program that rejects everything. */
const nothing = [{ code: 6, jt: 0, jf: 0, k: 0 }];

/** The reference's program; null when it refuses. */
function tcpdump(text: string): Program | null {
  const r = spawnSync("tcpdump", ["-y", "EN10MB", "-ddd", "--", text], { encoding: "utf8" });
  if (r.status === 0) return parseProgram(r.stdout);
  // which constant conditions an optimizer sees through is its own affair
  return r.stderr.includes("rejects all packets") ? nothing : null;
}

function compile(text: string): Program {
  try {
    return compileFilter(text, 1);
  } catch (e) {
    if ((e as Error).message.includes("no frame can match")) return nothing;
    throw e;
  }
}

const version = spawnSync("tcpdump", ["--version"], { encoding: "utf8" });
// another libpcap may know more words and optimize differently
const present = version.error === undefined && /libpcap version 1\.10\./.test(version.stdout + version.stderr);

const pick = (...words: string[]): fc.Arbitrary<string> => fc.constantFrom(...words);
const direction = pick("", "src ", "dst ", "src or dst ", "src and dst ");
const ip4 = pick("10.0.0.1", "10.0.0.2", "192.168.1.2", "203.0.113.10", "224.0.0.5");
const port = pick("80", "443", "53", "22", "1234", "http", "domain");
const number = pick("0", "1", "2", "5", "6", "0x0f", "15", "64", "255", "0x800", "tcp-syn", "0xffffffff");
const arithmetic: fc.Arbitrary<string> = fc.letrec<{ a: string }>((tie) => ({
  a: fc.oneof(
    { maxDepth: 3, depthIdentifier: "arithmetic" },
    number,
    pick(
      "len",
      "ip[0]",
      "ip[8]",
      "ip[2:2]",
      "tcp[13]",
      "tcp[0:2]",
      "udp[2:2]",
      "ether[0]",
      "ether[12:2]",
      "ip6[6]",
      "icmp[0]",
      "arp[7]",
    ),
    fc.tuple(tie("a"), pick("+", "-", "*", "&", "|", "^"), tie("a")).map(([x, op, y]) => `${x} ${op} ${y}`),
    // libpcap takes `ip[8] / ip[0]` for a division by zero: it looks at the first instruction of the right side
    fc
      .tuple(tie("a"), pick("<<", ">>", "/", "%"), pick("1", "2", "7", "ip[8]", "len"))
      .map(([x, op, y]) => `((${x}) ${op} ${y})`),
    tie("a").map((x) => `(${x})`),
    fc.tuple(pick("ip", "ether", "tcp"), tie("a")).map(([p, x]) => `${p}[${x} & 15]`),
  ),
})).a;
const primitive = fc.oneof(
  pick(
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "igmp",
    "vlan",
    "vlan 5",
    "mpls",
    "multicast",
    "broadcast",
    "ip multicast",
    "pppoes",
    "less 80",
    "greater 60",
    "stp",
    "ether proto 0x88cc",
    "proto 17",
    "ip proto 6",
    "ip6 proto 17",
  ),
  fc.tuple(direction, ip4).map(([d, a]) => `${d}host ${a}`),
  fc
    .tuple(pick("ip ", "arp ", "tcp ", ""), direction, pick("10.0.0.0/8", "192.168", "203.0.113"))
    .map(([p, d, a]) => `${p}${d}net ${a}`),
  fc.tuple(pick("", "tcp ", "udp "), direction, port).map(([p, d, n]) => `${p}${d}port ${n}`),
  fc.tuple(direction, pick("1-100", "50-60", "1000-2000")).map(([d, r]) => `${d}portrange ${r}`),
  fc.tuple(direction, pick("2001:db8::1", "::1", "fe80::1")).map(([d, a]) => `${d}host ${a}`),
  fc.tuple(direction, pick("02:00:00:00:00:01", "02:00:00:00:00:02")).map(([d, a]) => `ether ${d}host ${a}`),
  fc.tuple(arithmetic, pick("=", "!=", "<", ">", "<=", ">="), arithmetic).map(([a, op, b]) => `${a} ${op} ${b}`),
  // ids that take over what stands before them, where it fits
  fc.oneof(ip4, port),
);
const expression: fc.Arbitrary<string> = fc.letrec<{ e: string }>((tie) => ({
  e: fc.oneof(
    { maxDepth: 4, depthIdentifier: "expression" },
    primitive,
    fc.tuple(tie("e"), pick("and", "or", "&&", "||"), tie("e")).map(([a, op, b]) => `${a} ${op} ${b}`),
    tie("e").map((e) => `not ${e}`),
    tie("e").map((e) => `(${e})`),
  ),
})).e;

describe("live tcpdump", () => {
  test.skipIf(!present)(
    "random expressions: refused by both, or with the same verdicts (skipped without libpcap 1.10)",
    () => {
      const core = coreOf("release");
      const placed = place(
        core,
        frames["1"]!.filter((_, i) => i % 3 === 0),
      );
      fc.assert(
        fc.property(expression, (text) => {
          const theirs = tcpdump(text);
          let mine;
          try {
            mine = compile(text);
          } catch (e) {
            if (theirs !== null) throw new Error(`tcpdump accepts it: ${(e as Error).message}`, { cause: e });
            return;
          }
          if (theirs === null) throw new Error(`tcpdump refuses it\n${formatProgram(mine)}`);
          const a = loadFilter(core, mine);
          const b = loadFilter(core, theirs);
          expect(difference(a, b, placed, 11)).toBeNull();
          unloadFilter(a);
          unloadFilter(b);
        }),
        {
          numRuns: Number(process.env["WIREPATH_FILTER_RUNS"] ?? 400),
          seed: Number(process.env["WIREPATH_FILTER_SEED"] ?? 18),
        },
      );
    },
  );
});
