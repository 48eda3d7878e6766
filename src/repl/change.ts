// src/repl/change.ts: lines that change the world: what they do to it. They are kept with a session and given again when it
// is run again, so that nothing here may depend on anything but the world and the line.

import { formatIpv4, parseIpv4 } from "../core/address.ts";
import { runCommand } from "../host/commands.ts";
import type { Namespace } from "../host/namespace.ts";
import { SysctlError } from "../host/sysctl.ts";
import { TextError } from "../host/text.ts";
import { SECOND } from "../link/clock.ts";
import { parseTime } from "../lab/words.ts";
import { parseName } from "../service/dns/name.ts";
import { Stub } from "../service/dns/stub.ts";
import { dataText, messageText } from "../service/dns/text.ts";
import { typeOf } from "../service/dns/types.ts";
import { parseResolvConf } from "../service/dns/resolvconf.ts";
import { Browser, readUrl } from "../service/http/browser.ts";
import { Ping } from "../service/ping.ts";
import { programHost } from "../service/program.ts";
import { Traceroute } from "../service/traceroute.ts";
import { Iperf } from "./iperf.ts";
import { sendPacket } from "./make.ts";
import { PingAll } from "./pingall.ts";
import type { Run } from "./session.ts";
import { LineError, number, type Word, Words } from "./words.ts";

export type Print = (text: string) => void;

/** The words behind a host's name that start a program there. */
export const programs = ["ping", "curl", "dig", "traceroute"] as const;

/** Applies a line. Throws `LineError`. */
export function applyLine(run: Run, line: string, print: Print): void {
  const background = /\s&\s*$/.test(line);
  const words = Words.of(background ? line.replace(/\s&\s*$/, "") : line);
  const first = words.take("a command");
  const job = (): (() => void) => {
    if (background) return () => {};
    run.jobs++;
    return () => void run.jobs--;
  };
  switch (first.text) {
    case "pingall":
      words.done();
      return void new PingAll([...run.lab.nodes.values()], print, job());
    case "iperf":
      return iperf(run, words, print, job);
    case "link":
      return link(run, words);
    case "send":
    case "inject": {
      const ns = nodeAt(run, words.take("a host"));
      const dev = words.take("a device");
      return sendPacket(run, ns, dev, first.text === "inject", line, words.column);
    }
    default:
  }
  const ns = nodeAt(run, first);
  const tool = words.take("a command of the host's");
  try {
    switch (tool.text) {
      case "ping":
        return pingLine(run, ns, words, print, job);
      case "traceroute":
        return tracerouteLine(run, ns, words, print, job);
      case "dig":
        return dig(run, ns, words, print, job);
      case "curl":
        return curl(run, ns, words, print, job);
      case "conntrack": {
        const w = words.take("-F");
        if (w.text !== "-F" && w.text !== "--flush") throw new LineError(w.column, `'${w.text}', expected -L or -F`);
        return ns.conntrack.flush();
      }
      default: {
        const out = runCommand(ns, line.slice(tool.column - 1));
        if (out !== "") print(out.trimEnd());
      }
    }
  } catch (e) {
    if (e instanceof TextError) throw new LineError(e.column + (e.line === 1 ? tool.column - 1 : 0), e.message);
    if (e instanceof SysctlError) throw new LineError(words.column, e.message);
    throw e;
  }
}

export function nodeAt(run: Run, w: Word): Namespace {
  const ns = run.lab.nodes.get(w.text);
  if (ns === undefined) {
    const some = [...run.lab.nodes.keys()].slice(0, 12).join(", ");
    throw new LineError(
      w.column,
      `'${w.text}' is no command and no host, expected one of help's commands or of: ${some}`,
    );
  }
  return ns;
}

/** An address, or a node's first one. */
export function addressAt(run: Run, ns: Namespace, w: Word): number {
  const a = parseIpv4(w.text);
  if (a !== null) return a;
  const node = run.lab.nodes.get(w.text);
  const first = node === undefined ? 0 : firstAddress(node);
  if (first !== 0) return first;
  throw new LineError(
    w.column,
    `'${w.text}' is no address of ${ns.name}'s world, expected one such as 10.0.0.1, or a node`,
  );
}

export function firstAddress(ns: Namespace): number {
  for (const dev of ns.interfaces) {
    if (dev.kind === "loopback") continue;
    for (const { local } of ns.fib.addresses(dev)) return local;
  }
  return 0;
}

type Job = () => () => void;

function pingLine(run: Run, ns: Namespace, words: Words, print: Print, job: Job): void {
  let count = 3;
  let interval = SECOND;
  let wait = 10 * SECOND;
  let size = 56;
  let ttl = 0;
  let to: number | null = null;
  for (let w = words.peek(); w !== null; w = words.peek()) {
    words.take("");
    if (w.text === "-c") count = number(words.take("a number"), 1, 65535, "a number");
    else if (w.text === "-s") size = number(words.take("a size"), 0, 65000, "a number of bytes");
    else if (w.text === "-t") ttl = number(words.take("a TTL"), 1, 255, "a TTL");
    else if (w.text === "-i") interval = seconds(words.take("seconds"));
    else if (w.text === "-W") wait = seconds(words.take("seconds"));
    else if (w.text.startsWith("-") || to !== null)
      throw new LineError(w.column, `'${w.text}', expected ADDRESS [-c N] [-i S] [-W S] [-s BYTES] [-t TTL]`);
    else to = addressAt(run, ns, w);
  }
  if (to === null) throw new LineError(words.column, "the line ends, expected an address");
  const done = job();
  void new Ping(ns, { to, count, interval, patience: wait, size, ttl, print, done });
}

function seconds(w: Word): number {
  const n = Number(w.text);
  if (!Number.isFinite(n) || n <= 0 || n > 3600)
    throw new LineError(w.column, `'${w.text}', expected seconds, more than 0`);
  return Math.round(n * SECOND);
}

function tracerouteLine(run: Run, ns: Namespace, words: Words, print: Print, job: Job): void {
  let maxHops = 30;
  let wait = 5 * SECOND;
  let queries = 3;
  let to: number | null = null;
  for (let w = words.peek(); w !== null; w = words.peek()) {
    words.take("");
    if (w.text === "-n") continue;
    if (w.text === "-m") maxHops = number(words.take("a number"), 1, 255, "a number of hops");
    else if (w.text === "-q") queries = number(words.take("a number"), 1, 10, "a number of probes");
    else if (w.text === "-w") wait = seconds(words.take("seconds"));
    else if (w.text.startsWith("-") || to !== null)
      throw new LineError(w.column, `'${w.text}', expected ADDRESS [-m HOPS] [-q PROBES] [-w S]`);
    else to = addressAt(run, ns, w);
  }
  if (to === null) throw new LineError(words.column, "the line ends, expected an address");
  const done = job();
  void new Traceroute(ns, { to, hops: maxHops, patience: wait, probes: queries, print, done });
}

/** Asks as the host is set up to, or the server behind the `@`. */
function stubOf(run: Run, ns: Namespace, server: number | null): Stub {
  const conf = run.resolvConf(ns.name);
  const text = server === null ? conf : `nameserver ${formatIpv4(server)}`;
  return new Stub(programHost(ns), parseResolvConf(text));
}

function dig(run: Run, ns: Namespace, words: Words, print: Print, job: Job): void {
  let server: number | null = null;
  let name: Word | null = null;
  let type = 1;
  let short = false;
  for (let w = words.peek(); w !== null; w = words.peek()) {
    words.take("");
    if (w.text.startsWith("@")) server = addressAt(run, ns, { text: w.text.slice(1), column: w.column + 1 });
    else if (w.text === "+short") short = true;
    else if (name === null) name = w;
    else {
      const t = typeOf(w.text.toUpperCase());
      if (t === null) throw new LineError(w.column, `'${w.text}' is no type of record, expected A, NS, MX, TXT ...`);
      type = t;
    }
  }
  if (name === null) throw new LineError(words.column, "the line ends, expected a name");
  const asked = name.text;
  try {
    parseName(asked);
  } catch (e) {
    throw new LineError(name.column, (e as Error).message);
  }
  const done = job();
  const stub = stubOf(run, ns, server);
  later(run, () => {
    stub.query(asked, type, (message, code) => {
      if (message === null) print(`;; no answer: ${code}`);
      else if (short) for (const r of message.answers) print(dataText(r));
      else print(messageText(message).trimEnd());
      done();
    });
  });
}

/** Starts a program in an event of the clock's own, so that one can step through what it does. */
function later(run: Run, start: () => void): void {
  run.lab.world.clock.after(0, () => run.lab.world.backlog.hold(start));
}

function curl(run: Run, ns: Namespace, words: Words, print: Print, job: Job): void {
  let url: Word | null = null;
  let head = false;
  let method: string | undefined;
  for (let w = words.peek(); w !== null; w = words.peek()) {
    words.take("");
    if (w.text === "-i" || w.text === "-I" || w.text === "-v") {
      head = true;
      if (w.text === "-I") method = "HEAD";
    } else if (w.text === "-s" || w.text === "-L") continue;
    else if (w.text === "-X") method = words.take("a method").text;
    else if (w.text.startsWith("-") || url !== null)
      throw new LineError(w.column, `'${w.text}', expected URL [-i] [-I] [-X METHOD]`);
    else url = w;
  }
  if (url === null) throw new LineError(words.column, "the line ends, expected a URL");
  const asked = url.text;
  try {
    if (readUrl(asked).protocol === "https:") throw new Error(`'${asked}': there is no TLS here, expected http`);
  } catch (e) {
    throw new LineError(url.column, (e as Error).message);
  }
  const done = job();
  const browser = new Browser(programHost(ns), { names: stubOf(run, ns, null), userAgent: "curl" });
  later(run, () => {
    browser.open(asked, method === undefined ? {} : { method }, (failure, page) => {
      if (failure !== null) print(`curl: ${failure.code}: ${failure.error} ${failure.url}`);
      else if (page !== null) {
        if (head) {
          print(`HTTP/1.1 ${page.status} ${page.reason}`);
          for (const [n, v] of page.headers) print(`${n}: ${v}`);
          print("");
        }
        if (page.body.length > 0) print(new TextDecoder().decode(page.body).trimEnd());
      }
      browser.close();
      done();
    });
  });
}

function iperf(run: Run, words: Words, print: Print, job: Job): void {
  const a = nodeAt(run, words.take("a host"));
  const bWord = words.take("another host");
  const b = nodeAt(run, bWord);
  let time = SECOND;
  if (words.is("-t")) {
    const w = words.take("seconds");
    try {
      time = /[a-z]$/.test(w.text) ? parseTime(w.text) : seconds(w);
    } catch (e) {
      throw e instanceof LineError ? e : new LineError(w.column, (e as Error).message);
    }
  }
  words.done();
  const to = firstAddress(b);
  if (to === 0) throw new LineError(bWord.column, `${b.name} has no address`);
  const done = job();
  later(run, () => void new Iperf(a, b, to, time, print, done));
}

function link(run: Run, words: Words): void {
  const a = nodeAt(run, words.take("a host"));
  const bWord = words.take("another host");
  const b = nodeAt(run, bWord);
  const w = words.take("down or up");
  if (w.text !== "down" && w.text !== "up") throw new LineError(w.column, `'${w.text}', expected down or up`);
  words.done();
  const between = run.lab.links.filter(
    (l) => (l.a.owner === a && l.b.owner === b) || (l.a.owner === b && l.b.owner === a),
  );
  if (between.length === 0) throw new LineError(bWord.column, `no link joins ${a.name} and ${b.name}`);
  for (const l of between) {
    if (w.text === "down") l.down();
    else l.up();
  }
}
