// src/node/bench/decode.ts: a capture file to columns, every checksum verified.

import { spawn, spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { Layer, Rec, Status } from "../../../assembly/record.ts";
import { Column } from "../../../assembly/walklayout.ts";
import { ColumnReader } from "../../capture/columns.ts";
import { readColumns } from "../columns.ts";
import { loadCore } from "../core.ts";
import { packageFile } from "../package.ts";
import { writeCaptures } from "./capturefile.ts";
import { type Env, output, type Suite, tool } from "./env.ts";
import { Absent, now, type Peer } from "./measure.ts";

/** What all decoders of a file have to agree on. */
class Tally {
  packets = 0;
  netGood = 0;
  good = 0;
  bad = 0;
  absent = 0;
  addresses = 0;
  ports = 0;

  /** The record whose first word is `words[at]`. */
  add(words: Uint32Array, at: number): void {
    const layers = words[at + (Rec.Layers >>> 2)]!;
    this.packets++;
    if ((layers & Layer.Ip) === 0) return;
    if ((layers & Layer.NetStatus) >>> 16 === Status.Good) this.netGood++;
    const status = (layers & Layer.TransStatus) >>> 18;
    if (status === Status.Good) this.good++;
    else if (status === Status.Bad) this.bad++;
    else if (status === Status.Absent) this.absent++;
    this.addresses = (this.addresses + words[at + (Rec.Src >>> 2)]! + words[at + (Rec.Dst >>> 2)]!) >>> 0;
    this.ports = (this.ports + words[at + (Rec.Ports >>> 2)]!) >>> 0;
  }

  toString(): string {
    const { packets, netGood, good, bad, absent, addresses, ports } = this;
    return `${packets} packets, IPv4 good ${netGood}, good ${good}, bad ${bad}, absent ${absent}, sums ${addresses.toString(16)} ${ports.toString(16)}`;
  }
}

class Decoder {
  private readonly core = loadCore();

  /** Reads the file to its end; the number of packets. With a tally the columns are looked at as well. */
  async read(path: string, tally: Tally | null): Promise<number> {
    const { core } = this;
    const columns = new ColumnReader(core);
    let packets = 0;
    try {
      await readColumns(path, columns, () => {
        packets += columns.count;
        if (tally === null) return true;
        for (let i = 0; i < columns.count; i++) tally.add(core.u32, (columns.records + i * Column.Size) >>> 2);
        return true;
      });
    } finally {
      columns.free();
    }
    return packets;
  }
}

/** Lines of a tool's output that match, without keeping it. */
function countLines(path: string, words: readonly string[], counts: readonly RegExp[]): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, words, { stdio: ["ignore", "pipe", "ignore"] });
    const found = counts.map(() => 0);
    let rest = "";
    child.stdout.setEncoding("latin1").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) counts.forEach((re, i) => re.test(line) && found[i]!++);
    });
    child.on("error", reject);
    child.on("close", () => resolve(found));
  });
}

/** A tool that prints what it decodes; its run goes to /dev/null. */
function printer(
  env: Env,
  name: string,
  words: readonly string[],
  file: string,
  packets: number,
  answer: (path: string) => Promise<string>,
  expect: string,
): Promise<Peer> {
  return env.peer(name, async () => {
    const path = tool(name);
    return {
      answer: () => answer(path),
      expect: () => expect,
      run() {
        const from = now();
        const r = spawnSync(path, [...words, "-r", file], { stdio: ["ignore", "ignore", "ignore"], timeout: 120_000 });
        if (r.status !== 0) throw new Error(`${name} ends with ${r.status}`);
        return packets / (now() - from) / 1000;
      },
    };
  });
}

async function run(env: Env): Promise<void> {
  const decoder = new Decoder();
  const file = env.file("decode.pcap");
  const some = env.file("decode-some.pcap");
  const few = env.file("decode-few.pcap");
  const [packets, somePackets, fewPackets] = writeCaptures(loadCore(), [
    { path: file, bytes: env.size(320_000_000, 200_000) },
    { path: some, bytes: env.size(20_000_000, 100_000) },
    { path: few, bytes: env.size(4_000_000, 50_000) },
  ]) as [number, number, number];
  const tally = async (path: string): Promise<Tally> => {
    const t = new Tally();
    await decoder.read(path, t);
    return t;
  };
  const program = (name: string, make: () => Promise<string>): Promise<Peer> =>
    env.peer(name, async () => {
      const c = env.start(await make(), [file]);
      return { answer: () => c.ask("digest"), run: () => c.number("run") };
    });
  const tcpdumpExpects = await tally(some);
  const tsharkExpects = await tally(few);
  const checks = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"].flatMap((o) => ["-o", `${o}:TRUE`]);
  const badFilter = "udp.checksum.status == 0 || tcp.checksum.status == 0 || icmp.checksum.status == 0";
  await env.measure({
    name: "decode",
    unit: "Mpkt/s",
    better: "more",
    note: `a pcap file of ${packets} packets to columns, checksums verified`,
    answer: async () => (await tally(file)).toString(),
    async run() {
      const from = now();
      const n = await decoder.read(file, null);
      return n / (now() - from) / 1000;
    },
    peers: [
      await program("C", () => env.compile("pcap.c")),
      await program("libpcap + C", () =>
        env.compile("pcap.c", { library: "libpcap", name: "libpcap", define: "LIBPCAP" }),
      ),
      await program("gopacket", () => gopacket(env)),
      await printer(
        env,
        "tcpdump",
        ["-nnvv"],
        some,
        somePackets,
        async (path) => {
          const [all, bad] = await countLines(
            path,
            ["-nnvv", "-r", some],
            [/^\d\d:\d\d:/, /\(incorrect|bad udp cksum|wrong icmp cksum/],
          );
          return `${all} packets, bad ${bad}`;
        },
        `${tcpdumpExpects.packets} packets, bad ${tcpdumpExpects.bad}`,
      ),
      await printer(
        env,
        "tshark",
        ["-n", ...checks],
        few,
        fewPackets,
        async (path) => {
          const [all] = await countLines(path, ["-n", "-r", few], [/./]);
          const [bad] = await countLines(path, ["-n", ...checks, "-r", few, "-Y", badFilter], [/./]);
          return `${all} packets, bad ${bad}`;
        },
        `${tsharkExpects.packets} packets, bad ${tsharkExpects.bad}`,
      ),
    ],
  });
}

/** Builds bench/gopacket with the module in Go's cache, or where Debian puts it; nothing is fetched. */
async function gopacket(env: Env): Promise<string> {
  const go = tool("go");
  const out = env.file("gopacket");
  const dir = env.file("gopacket.src");
  cpSync(packageFile("bench/gopacket"), dir, { recursive: true });
  const words = ["build", "-o", out];
  const cached = { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", GOSUMDB: "off" };
  if ((await output(go, [...words, "."], { cwd: dir, env: cached })).status === 0) return out;
  const debian = {
    ...process.env,
    GO111MODULE: "off",
    GOPATH: "/usr/share/gocode",
    GOFLAGS: "",
    GOCACHE: env.file("gopacket.cache"),
  };
  if ((await output(go, [...words, "main.go"], { cwd: dir, env: debian })).status === 0) return out;
  throw new Absent("gopacket: not installed");
}

export const decode: Suite = {
  name: "decode",
  summary: "a capture file to columns, checksums verified",
  rows: ["decode"],
  run,
};
