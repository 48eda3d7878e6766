// src/cli/flows.ts: `wirepath flows`: the packets of captures grouped into flows.

import { ColumnFilter } from "../capture/filter/columns.ts";
import { flowsOf, MOST_FLOWS } from "../capture/flows.ts";
import { openOutput } from "../node/files.ts";
import { surveys } from "../node/survey.ts";
import { type Command, Failure, parseWords } from "./command.ts";
import { csvHead, csvLine, FlowParquet, jsonLine } from "./flows-rows.ts";

/** Output is written in blocks of about this many characters. */
const BLOCK = 1 << 16;

const help = `usage: wirepath flows CAPTURE... [--csv] [-o FILE] [--filter EXPR] [--limit N]

Groups the IPv4 packets of captures (pcap or pcapng; - is stdin) by addresses, ports and protocol, both directions
together, in the order of their first packets: JSON lines with

  src sport dst dport proto   the sender of the first packet is src; no ports: not TCP or UDP, or a later fragment
  packets bytes               what src sent: frames as long as on the wire
  packets_back bytes_back     what dst sent
  first last                  least and greatest time, seconds since 1970
  flags flags_back            TCP flags seen: F S R P A U E C for FIN SYN RST PSH ACK URG ECE CWR

Of several captures, which are read at once, each has its own flows, with its name in 'file'.

  --csv          CSV with a head line
  -o FILE        write to FILE; FILE.csv is CSV, FILE.parquet is Parquet (times in nanoseconds)
  --filter EXPR  only packets that the pcap filter matches
  --limit N      flows of a capture at most (default ${MOST_FLOWS}); packets of more are counted, and then it fails
`;

async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseWords(words, {
    allowPositionals: true,
    options: {
      csv: { type: "boolean" },
      output: { type: "string", short: "o" },
      filter: { type: "string" },
      limit: { type: "string" },
    },
  });
  if (positionals.length === 0) throw new Failure("flows: no CAPTURE given (- is stdin)");
  if (values.limit !== undefined && !(/^[1-9]\d{0,6}$/.test(values.limit) && Number(values.limit) <= MOST_FLOWS)) {
    throw new Failure(`flows: --limit '${values.limit}', expected a number from 1 to ${MOST_FLOWS}`);
  }
  const limit = values.limit === undefined ? MOST_FLOWS : Number(values.limit);
  // a wrong filter is found before a file is opened
  if (values.filter !== undefined) void new ColumnFilter(values.filter);
  const path = values.output ?? "-";
  const several = positionals.length > 1;
  const parquet = path.endsWith(".parquet") ? await FlowParquet.make(several) : null;
  const csv = values.csv === true || path.endsWith(".csv");
  if (parquet !== null && values.csv === true)
    throw new Failure(`flows: --csv and -o ${path}, expected one of the two`);
  const out = await openOutput(path);
  const encoder = new TextEncoder();
  const failures: string[] = [];
  let text = csv ? csvHead(several) : "";
  for await (const found of surveys(positionals, {
    stats: false,
    filter: values.filter ?? null,
    most: Infinity,
    flows: limit,
  })) {
    const file = several ? found.path : null;
    for (const flow of flowsOf(found.flows)) {
      if (parquet !== null) {
        if (!parquet.add(flow, file)) continue;
        out.write(await parquet.take());
      } else text += csv ? csvLine(flow, file) : jsonLine(flow, file);
      if (parquet === null) {
        if (text.length < BLOCK) continue;
        out.write(encoder.encode(text));
        text = "";
      }
      if (out.full) await out.drained();
    }
    if (found.error !== null) failures.push(found.error);
    else if (found.missed > 0)
      failures.push(`${found.path}: more than ${limit} flows: ${found.missed} packets are in none`);
  }
  out.write(parquet === null ? encoder.encode(text) : await parquet.end());
  await out.close();
  if (failures.length > 0)
    throw new Failure(failures[0]! + (failures.length > 1 ? ` (and ${failures.length - 1} more of the captures)` : ""));
  return 0;
}

export const command: Command = { help, run };
