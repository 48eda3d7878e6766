// src/host/netfilter/iptables/restore.ts: the text of iptables-save.

import { TextError } from "../../text.ts";
import { Verdict } from "../hooks.ts";
import { chainOf, addChain, link, parsePolicy, tableFault } from "./edit.ts";
import type { Iptables } from "./iptables.ts";
import { isBuiltin, parseRule } from "./parse.ts";
import type { Rule } from "./rule.ts";
import { type Table, builtinChains } from "./table.ts";
import { applyWords } from "./command.ts";
import { Cursor, splitWords } from "./words.ts";

const counterText = /^\[(\d+):(\d+)\]$/;

/**
 * Reads a whole text into new tables; nothing is installed.
 * @throws TextError with line and column
 */
export function readRestore(iptables: Iptables, text: string): Table[] {
  const done: Table[] = [];
  let table: Table | null = null;
  let places = new Map<Rule, number>();
  let lineNumber = 0;
  for (const line of text.split("\n")) {
    lineNumber++;
    const words = splitWords(line, lineNumber);
    if (words.length === 0 || words[0]!.text.startsWith("#")) continue;
    const end = line.trimEnd().length + 1;
    const cursor: Cursor = new Cursor(words, lineNumber, end);
    const first = cursor.next()!;
    if (first.text.startsWith("*")) {
      if (table !== null) cursor.fail(first, `COMMIT expected before table '${first.text.slice(1)}'`);
      const name = first.text.slice(1);
      if (!Object.hasOwn(builtinChains, name))
        cursor.fail(first, `unknown table '${name}', expected one of ${Object.keys(builtinChains).join(", ")}`);
      if (done.some((t) => t.name === name)) cursor.fail(first, `table '${name}' occurs twice`);
      table = iptables.newTable(name);
      places = new Map();
      if (cursor.more) cursor.fail(cursor.next(), "nothing may follow the name of a table");
      continue;
    }
    if (table === null) cursor.fail(first, `expected '*table', got '${first.text}'`);
    if (first.text === "COMMIT") {
      const fault = tableFault(table, iptables.backend);
      if (fault !== null) throw new TextError(places.get(fault.rule) ?? lineNumber, 1, fault.message);
      done.push(table);
      table = null;
      continue;
    }
    if (first.text.startsWith(":")) {
      readChain(table, cursor, first.text.slice(1));
      continue;
    }
    let counts: [number, number] | null = null;
    let verb = first;
    const c = counterText.exec(first.text);
    if (c !== null) {
      counts = [Number(c[1]), Number(c[2])];
      verb = cursor.next() ?? cursor.fail(null, "a rule should follow its counters");
    }
    if (verb.text === "-A" || verb.text === "--append") {
      const name = cursor.next() ?? cursor.fail(null, "-A: expected the name of a chain");
      const chain = chainOf(table, name.text, (m) => cursor.fail(name, m));
      for (const t of parseRule(cursor, iptables.place(table.name, chain.name), counts)) {
        const rule = link(table, t, (m) => cursor.fail(t.jumpWord, m));
        chain.rules.push(rule);
        places.set(rule, lineNumber);
      }
    } else {
      applyWords(iptables, table, verb, cursor, counts);
    }
  }
  if (table !== null) throw new TextError(lineNumber, 1, `COMMIT expected at the end of table '${table.name}'`);
  return done;
}

/** `:INPUT ACCEPT [0:0]`, `:DOCKER - [0:0]`. */
function readChain(table: Table, cursor: Cursor, name: string): void {
  const at = cursor.words[0]!;
  const policy = cursor.next() ?? cursor.fail(null, "expected a policy, or '-' for a user's chain");
  const builtin = isBuiltin(table.name, name);
  if (!builtin && policy.text !== "-") {
    cursor.fail(policy, `cannot set policy '${policy.text}' on user-defined chain '${name}'`);
  }
  const chain = builtin ? table.chains.get(name)! : addChain(table, name, (m) => cursor.fail(at, m));
  if (builtin)
    chain.policy = policy.text === "-" ? Verdict.Accept : parsePolicy(policy.text, (m) => cursor.fail(policy, m));
  const counts = cursor.next();
  if (counts === null) return;
  const c = counterText.exec(counts.text);
  if (c === null) cursor.fail(counts, `'${counts.text}' is no counter, expected [packets:bytes]`);
  chain.packets = Number(c[1]);
  chain.bytes = Number(c[2]);
  if (cursor.more) cursor.fail(cursor.next(), "nothing may follow a chain's counters");
}
