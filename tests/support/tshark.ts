// tests/support/tshark.ts: what tshark says of a capture, in the keys of the decoder's JSON lines: the reference to compare with.

import { spawn, spawnSync } from "node:child_process";

/** A decoded frame, as one JSON line holds it. */
export type Decoded = Record<string, unknown>;

/** Nothing reassembled, every checksum verified, numbers absolute, no names resolved, each frame for itself. */
export const STATELESS = [
  "tcp.check_checksum:TRUE",
  "udp.check_checksum:TRUE",
  "ip.check_checksum:TRUE",
  "tcp.desegment_tcp_streams:FALSE",
  "ip.defragment:FALSE",
  "tcp.analyze_sequence_numbers:FALSE",
  "tcp.relative_sequence_numbers:FALSE",
];

/** tshark's defaults, but for verified checksums and absolute numbers: streams are reassembled. */
export const STREAMS = [
  "tcp.check_checksum:TRUE",
  "udp.check_checksum:TRUE",
  "ip.check_checksum:TRUE",
  "tcp.relative_sequence_numbers:FALSE",
];

/** The version of the tshark on this machine; null when there is none. */
export function tsharkVersion(): string | null {
  const r = spawnSync("tshark", ["--version"], { encoding: "utf8" });
  return r.status === 0 ? (/TShark \(Wireshark\) (\d+\.\d+)/.exec(r.stdout)?.[1] ?? null) : null;
}

interface Item {
  proto: boolean;
  name: string;
  show: string;
  value: string;
  items: Item[];
}

const escapes: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** XML's entities, and the `\xNN` that PDML writes for control bytes. */
function unescapeText(s: string): string {
  return s
    .replace(/\\x([0-9a-f]{1,2})/g, (_, h: string) => String.fromCharCode(parseInt(h, 16)))
    .replace(/&(#\w+|\w+);/g, (_, e: string) =>
      e[0] === "#" ? String.fromCodePoint(Number(`0${e.slice(1)}`)) : escapes[e]!,
    );
}

/** The tree of one `<packet>` element. */
function parsePacket(xml: string): Item {
  const root: Item = { proto: true, name: "", show: "", value: "", items: [] };
  const stack = [root];
  for (const m of xml.matchAll(/<(\/)?(proto|field)\b((?:\s+\w+="[^"]*")*)\s*(\/)?>/g)) {
    if (m[1] !== undefined) {
      stack.pop();
      continue;
    }
    const at = (name: string): string => new RegExp(`\\s${name}="([^"]*)"`).exec(m[3]!)?.[1] ?? "";
    const item: Item = { proto: m[2] === "proto", name: at("name"), show: at("show"), value: at("value"), items: [] };
    stack[stack.length - 1]!.items.push(item);
    if (m[4] === undefined) stack.push(item);
  }
  return root;
}

type Kind = "number" | "text" | "hex" | "numbers" | "texts" | "some" | "lines";

function kinds(kind: Kind, prefix: string, names: string): [string, Kind][] {
  return names.split(" ").map((n) => [`${prefix}.${n}`, kind]);
}

const fields: Record<string, Map<string, Kind>> = {
  eth: new Map([...kinds("text", "eth", "dst src"), ...kinds("number", "eth", "type len")]),
  vlan: new Map(kinds("some", "vlan", "id priority etype")),
  arp: new Map([
    ...kinds("number", "arp", "hw.type proto.type hw.size proto.size opcode"),
    ...kinds("text", "arp", "src.hw_mac src.proto_ipv4 dst.hw_mac dst.proto_ipv4"),
  ]),
  ip: new Map([
    ...kinds(
      "number",
      "ip",
      "version hdr_len dsfield len id flags.rb flags.df flags.mf frag_offset ttl proto checksum checksum.status",
    ),
    ...kinds("text", "ip", "src dst"),
    ...kinds("numbers", "ip", "opt.type"),
  ]),
  icmp: new Map([
    ...kinds("number", "icmp", "type code checksum checksum.status ident seq mtu"),
    ...kinds("text", "icmp", "redir_gw"),
  ]),
  udp: new Map(kinds("number", "udp", "srcport dstport length checksum checksum.status")),
  tcp: new Map([
    ...kinds(
      "number",
      "tcp",
      "srcport dstport len seq_raw ack_raw hdr_len flags window_size_value checksum checksum.status urgent_pointer",
    ),
    ...kinds("hex", "tcp", "options"),
    ...kinds("number", "tcp", "options.mss_val options.wscale.shift options.timestamp.tsval options.timestamp.tsecr"),
    ...kinds("numbers", "tcp", "options.sack_le options.sack_re"),
  ]),
  http: new Map([
    ...kinds("text", "http", "request.method request.uri request.version response.version response.phrase"),
    ...kinds("number", "http", "response.code"),
    ...kinds("lines", "http", "request.line response.line"),
  ]),
  dns: new Map([
    ...kinds("number", "dns", "id flags count.queries count.answers count.auth_rr count.add_rr"),
    ...kinds("texts", "dns", "qry.name resp.name a aaaa cname ns ptr.domain_name mx.mail_exchange txt"),
    ...kinds("numbers", "dns", "qry.type qry.class resp.type resp.class resp.ttl resp.len"),
  ]),
};

/** Fields of the layer itself: nothing of a layer that it quotes. */
function* own(item: Item): Generator<Item> {
  for (const i of item.items) {
    if (i.proto) continue;
    yield i;
    yield* own(i);
  }
}

const number = (show: string): number => (show === "True" ? 1 : show === "False" ? 0 : Number(show));

/** Text as shown; PDML writes control bytes as an ambiguous `\\xN`, so those texts are made from the raw bytes. */
function text(item: Item): string {
  if (!/\\x[0-9a-f]/.test(item.show) || item.value.length === 0) return unescapeText(item.show);
  const raw = Buffer.from(item.value, "hex");
  const [prefix] = item.name.split(".", 1);
  return prefix === "http"
    ? Array.from(raw, (c) => (c < 0x80 ? String.fromCharCode(c) : "\ufffd")).join("")
    : raw.toString("utf8");
}

function put(out: Decoded, name: string, kind: Kind, item: Item): void {
  const v =
    kind === "hex"
      ? item.value
      : kind === "number" || kind === "numbers" || kind === "some"
        ? number(item.show)
        : text(item);
  if (kind === "numbers" || kind === "texts" || kind === "lines") ((out[name] ??= []) as unknown[]).push(v);
  else if (!(name in out)) out[name] = v;
  else if (kind === "some") out[name] = [...(Array.isArray(out[name]) ? (out[name] as unknown[]) : [out[name]]), v];
}

const next: Record<string, string[]> = {
  frame: ["eth", "vlan", "ip", "arp"],
  eth: ["vlan", "arp", "ip"],
  vlan: ["vlan", "arp", "ip"],
  ip: ["icmp", "udp", "tcp"],
  udp: ["dns"],
  tcp: ["http", "dns"],
};
/** Link headers without keys of their own. */
const silent = new Set(["raw", "sll", "null", "loop"]);

function decoded(packet: Item): Decoded {
  const out: Decoded = {};
  const proto: string[] = [];
  let layer = "frame";
  for (const p of packet.items) {
    // tshark puts the list of segments that were put together between two layers
    if (p.name === "geninfo" || p.name === "fake-field-wrapper" || p.name.startsWith("_ws.")) continue;
    if (p.name === "frame") {
      for (const f of p.items) {
        if (f.name === "frame.number" || f.name === "frame.len" || f.name === "frame.cap_len")
          out[f.name] = Number(f.show);
      }
      continue;
    }
    if (layer === "frame" && silent.has(p.name)) continue;
    if (!(next[layer] ?? []).includes(p.name)) break;
    layer = p.name;
    proto.push(layer);
    for (const f of own(p)) {
      const kind = fields[layer]!.get(f.name);
      if (kind !== undefined) put(out, f.name, kind, f);
      if (f.name === "tcp.options.sack_perm") out[f.name] = 1;
    }
  }
  out["proto"] = proto;
  return out;
}

/** Runs tshark over a capture and calls `each` with what it shows of every frame. */
export async function tsharkFrames(
  file: string,
  prefs: readonly string[],
  each: (frame: Decoded) => void,
): Promise<void> {
  const child = spawn("tshark", ["-n", ...prefs.flatMap((p) => ["-o", p]), "-r", file, "-T", "pdml"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let rest = "";
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (s: string) => (said += s));
  const ended = new Promise<number | null>((done, fail) => child.on("error", fail).on("close", done));
  child.stdout.setEncoding("utf8");
  for await (const s of child.stdout as AsyncIterable<string>) {
    rest += s;
    for (;;) {
      const end = rest.indexOf("</packet>");
      if (end < 0) break;
      const from = rest.indexOf("<packet>");
      each(decoded(parsePacket(rest.slice(from, end))));
      rest = rest.slice(end + 9);
    }
  }
  const status = await ended;
  // a capture cut short is status 2 after the frames before the cut
  if (status !== 0 && !/cut short|appears to have been/.test(said)) throw new Error(`tshark ${file}: ${said}`);
}

/** Whether the frame shows an HTTP or a DNS message. */
export function isMessage(f: Decoded): boolean {
  return "http.request.method" in f || "http.response.version" in f || "dns.id" in f;
}

/** The keys whose values differ, as `key: ours, tshark's`. */
export function differences(ours: Decoded, theirs: Decoded): string[] {
  const keys = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
  const out: string[] = [];
  for (const k of keys) {
    const [a, b] = [JSON.stringify(ours[k]), JSON.stringify(theirs[k])];
    if (a !== b) out.push(`${k}: ${a ?? "absent"}, tshark ${b ?? "absent"}`);
  }
  return out;
}
