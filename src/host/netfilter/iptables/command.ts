// src/host/netfilter/iptables/command.ts: one `iptables` command.

import { TextError } from "../../text.ts";
import { addChain, chainOf, link, parsePolicy, tableFault } from "./edit.ts";
import type { Iptables } from "./iptables.ts";
import { parseRule } from "./parse.ts";
import type { Fail, Rule } from "./rule.ts";
import { type Chain, type Table, builtinChains } from "./table.ts";
import { Cursor, type Word, splitWords } from "./words.ts";

const longVerbs: Readonly<Record<string, string>> = {
  "--append": "-A",
  "--insert": "-I",
  "--delete": "-D",
  "--replace": "-R",
  "--flush": "-F",
  "--new-chain": "-N",
  "--new": "-N",
  "--delete-chain": "-X",
  "--policy": "-P",
  "--zero": "-Z",
  "--check": "-C",
  "--rename-chain": "-E",
};

/** Runs the words behind `iptables` (the name itself may stand in front). */
export function runCommand(iptables: Iptables, text: string): void {
  const words = splitWords(text, 1);
  if (words.length > 0 && /^(\/usr\/s?bin\/|\/s?bin\/)?iptables(-nft|-legacy)?$/.test(words[0]!.text)) words.shift();
  const end = text.trimEnd().length + 1;
  let tableName = "filter";
  // -t, -w and -4 may stand anywhere
  const rest: Word[] = [];
  for (let i = 0; i < words.length; i++) {
    const w = words[i]!;
    if (w.text === "-t" || w.text === "--table") {
      const name = words[++i];
      if (name === undefined) throw new TextError(1, end, `${w.text}: expected the name of a table`);
      if (!Object.hasOwn(builtinChains, name.text)) throw new TextError(1, name.column, `unknown table '${name.text}'`);
      tableName = name.text;
    } else if (w.text === "-w" || w.text === "--wait") {
      if (/^\d+$/.test(words[i + 1]?.text ?? "")) i++;
    } else if (w.text !== "-4" && w.text !== "--ipv4" && !(w.text === "-n" && rest.length === 0)) rest.push(w);
  }
  const cursor: Cursor = new Cursor(rest, 1, end);
  const verb = cursor.next();
  if (verb === null) cursor.fail(null, "expected a command such as -A, -D, -F");
  // work on the table itself: every command checks before it changes
  const table = iptables.table(tableName);
  applyWords(iptables, table, verb, cursor, null);
  if (iptables.backend === "legacy" && !asks.has(verb.text) && remembers(table)) iptables.reinstall(table);
  iptables.changed();
}

/** Verbs that change nothing. */
const asks: ReadonlySet<string> = new Set(["-C", "--check"]);
/** Matches whose memory is their rule's; what others share by name outlives it. */
const memories = / -m (?:limit|statistic|quota|connlimit) /;

function remembers(table: Table): boolean {
  for (const c of table.chains.values()) if (c.rules.some((r) => memories.test(r.spec))) return true;
  return false;
}

/** One command on a table. The cursor stands behind the verb. */
export function applyWords(
  iptables: Iptables,
  table: Table,
  verb: Word,
  cursor: Cursor,
  counts: [number, number] | null,
): void {
  const at =
    (w: Word | null): Fail =>
    (m) =>
      cursor.fail(w, m);
  const chainWord = (): { word: Word; chain: Chain } => {
    const word = cursor.next() ?? cursor.fail(null, `${verb.text}: expected the name of a chain`);
    return { word, chain: chainOf(table, word.text, at(word)) };
  };
  const number = (): number | null => {
    const p = cursor.peek();
    return p !== null && /^\d+$/.test(p) ? Number(cursor.next()!.text) : null;
  };
  const rules = (chain: Chain): Rule[] =>
    parseRule(cursor, iptables.place(table.name, chain.name), counts).map((t) =>
      link(table, t, at(t.jumpWord ?? verb)),
    );
  const ended = (): void => {
    if (cursor.more) cursor.fail(cursor.next(), `${verb.text}: nothing more was expected`);
  };
  /** Puts rules at a place; takes them back when the table would not hold together. */
  const put = (chain: Chain, index: number, removed: number, added: Rule[]): void => {
    const gone = chain.rules.splice(index, removed, ...added);
    const fault = tableFault(table, iptables.backend);
    if (fault !== null) {
      chain.rules.splice(index, added.length, ...gone);
      for (const r of added) r.close();
      cursor.fail(verb, fault.message);
    }
    for (const r of gone) r.close();
  };
  switch (longVerbs[verb.text] ?? verb.text) {
    case "-A": {
      const { chain } = chainWord();
      return put(chain, chain.rules.length, 0, rules(chain));
    }
    case "-I": {
      const { word, chain } = chainWord();
      const n = number() ?? 1;
      if (n < 1 || n > chain.rules.length + 1)
        cursor.fail(word, `-I ${chain.name} ${n}: there are ${chain.rules.length} rules`);
      return put(chain, n - 1, 0, rules(chain));
    }
    case "-R": {
      const { word, chain } = chainWord();
      const n = number() ?? cursor.fail(word, "-R: expected the number of a rule");
      if (n < 1 || n > chain.rules.length)
        cursor.fail(word, `-R ${chain.name} ${n}: there are ${chain.rules.length} rules`);
      const made = rules(chain);
      if (made.length !== 1) cursor.fail(word, "-R: one rule cannot be replaced by several");
      return put(chain, n - 1, 1, made);
    }
    case "-D": {
      const { word, chain } = chainWord();
      const n = number();
      if (n !== null) {
        ended();
        if (n < 1 || n > chain.rules.length)
          cursor.fail(word, `-D ${chain.name} ${n}: there are ${chain.rules.length} rules`);
        return put(chain, n - 1, 1, []);
      }
      for (const wanted of rules(chain)) {
        const i = find(chain, wanted);
        if (i < 0) cursor.fail(word, `chain '${chain.name}' has no such rule`);
        put(chain, i, 1, []);
      }
      return;
    }
    case "-C": {
      const { word, chain } = chainWord();
      for (const wanted of rules(chain)) {
        if (find(chain, wanted) < 0) cursor.fail(word, `chain '${chain.name}' has no such rule`);
      }
      return;
    }
    case "-F": {
      const chains = cursor.more ? [chainWord().chain] : [...table.chains.values()];
      ended();
      for (const c of chains) put(c, 0, c.rules.length, []);
      return;
    }
    case "-Z": {
      const chains = cursor.more ? [chainWord().chain] : [...table.chains.values()];
      const n = number();
      ended();
      for (const c of chains) {
        if (n === null) c.packets = c.bytes = 0;
        for (const r of n === null ? c.rules : c.rules.slice(n - 1, n)) r.packets = r.bytes = 0;
      }
      return;
    }
    case "-N": {
      const word = cursor.next() ?? cursor.fail(null, "-N: expected the name of a chain");
      ended();
      addChain(table, word.text, at(word));
      return;
    }
    case "-X": {
      const named = cursor.more ? chainWord() : null;
      ended();
      const chains = named !== null ? [named.chain] : [...table.chains.values()].filter((c) => c.hook === null);
      for (const c of chains) {
        if (c.hook !== null) cursor.fail(named!.word, `built-in chain '${c.name}' cannot be deleted`);
        if (c.rules.length > 0) cursor.fail(named?.word ?? verb, `chain '${c.name}' is not empty`);
        for (const other of table.chains.values()) {
          if (other.rules.some((r) => r.jump === c))
            cursor.fail(named?.word ?? verb, `chain '${c.name}' is referenced by '${other.name}'`);
        }
      }
      for (const c of chains) table.chains.delete(c.name);
      return;
    }
    case "-P": {
      const { word, chain } = chainWord();
      const policy = cursor.next() ?? cursor.fail(null, "-P: expected ACCEPT or DROP");
      ended();
      if (chain.hook === null) cursor.fail(word, `chain '${chain.name}' is not built in: it has no policy`);
      chain.policy = parsePolicy(policy.text, at(policy));
      return;
    }
    default:
      cursor.fail(verb, `command '${verb.text}' is not supported`);
  }
}

/** Where a chain holds a rule that says the same; -1 when it does not. */
function find(chain: Chain, wanted: Rule): number {
  const i = chain.rules.findIndex((r) => r.spec === wanted.spec);
  wanted.close();
  return i;
}
