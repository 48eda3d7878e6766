// src/cli/bench.ts: `wirepath bench`: the figures, with peers side by side where they are installed.

import { Env } from "../node/bench/env.ts";
import { suites } from "../node/bench/index.ts";
import type { Result } from "../node/bench/measure.ts";
import { type Command, Failure, parseWords } from "./command.ts";

const RUNS = 7;

const help = `usage: wirepath bench [NAME...] [--json] [--runs N] [--table FILE] [--quick]

Measures, warmed up, in several runs: median, least and greatest. Peers that are installed run in turn with
wirepath, after their results were compared with its own; for the others it says what is missing.

  NAME          a suite or one of its rows; all when none is given
  --json        an array of {name, unit, better, median, min, max, runs, peers, ratio, absent, growth, note};
                ratio: how many times as good as the peer wirepath was, in the median of the runs
  --runs N      timed runs of each row (default ${RUNS})
  --table FILE  routes for lpm: lines of PREFIX/LENGTH, other words ignored; gzip is allowed
  --quick       tiny sizes: to look at the output, not at the figures

Suites and rows:
${suites.map((s) => `  ${s.name.padEnd(13)} ${s.summary}\n${s.rows.length > 1 ? `${" ".repeat(16)}${s.rows.join(", ")}\n` : ""}`).join("")}`;

/** As many digits as say something. */
function figure(v: number): string {
  if (v === 0) return "0";
  const digits = v >= 1000 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(v))));
  return v.toFixed(Math.min(digits, 6));
}

/** A row and its peers, for people. */
export function formatResult(r: Result): string {
  const line = (name: string, s: { median: number; min: number; max: number }, rest: string): string => {
    const spread = s.min === s.max ? "" : `${figure(s.min)} to ${figure(s.max)}`;
    return (
      `${name.padEnd(30)} ${figure(s.median).padStart(10)} ${r.unit.padEnd(10)} ${spread.padEnd(22)} ${rest}`.trimEnd() +
      "\n"
    );
  };
  let text = line(r.name, r, r.note);
  for (const [name, s] of Object.entries(r.peers)) {
    text += line(`  ${name}`, s, `wirepath: ${figure(r.ratio[name]!)} times as good`);
  }
  for (const [name, why] of Object.entries(r.absent)) text += `  ${name.padEnd(28)} ${why}\n`;
  return text;
}

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      json: { type: "boolean" },
      runs: { type: "string" },
      table: { type: "string" },
      quick: { type: "boolean" },
    },
  });
  const quick = values.quick === true;
  if (values.runs !== undefined && !/^[1-9]\d{0,3}$/.test(values.runs)) {
    throw new Failure(`bench: --runs '${values.runs}', expected a number from 1 to 9999`);
  }
  const known = suites.flatMap((s) => [s.name, ...s.rows]);
  for (const name of positionals) {
    if (!known.includes(name)) {
      throw new Failure(`bench: there is no '${name}', expected one of: ${[...new Set(known)].join(", ")}`);
    }
  }
  const wanted = new Set(positionals);
  const results: Result[] = [];
  const env = new Env({
    quick,
    runs: values.runs === undefined ? (quick ? 1 : RUNS) : Number(values.runs),
    wants: (row) => wanted.size === 0 || wanted.has(row) || wanted.has(row.split(".")[0]!),
    table: values.table ?? null,
    onResult(r) {
      results.push(r);
      if (values.json !== true) process.stdout.write(formatResult(r));
    },
  });
  try {
    for (const suite of suites) if (suite.rows.some((row) => env.wants(row))) await suite.run(env);
  } finally {
    env.close();
  }
  if (values.json === true) process.stdout.write(`${JSON.stringify(results, null, 1)}\n`);
  return 0;
}

export const command: Command = { help, run };
