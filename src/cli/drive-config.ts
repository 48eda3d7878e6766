// src/cli/drive-config.ts: what `reset` of pdsut/1 builds: a host, its devices, routes and NAT, and the knobs of its TCP.

import { formatIpv4, parseIpv4, parseMac, parsePrefix } from "../core/address.ts";
import type { Core } from "../core/core.ts";
import { runCommand } from "../host/commands.ts";
import { Namespace } from "../host/namespace.ts";
import { SECOND, US } from "../link/clock.ts";
import type { Interface } from "../link/interface.ts";
import { DEFAULT_SEED, newWorld } from "../link/newworld.ts";
import { type TcpConfig, defaultConfig } from "../transport/tcp/config.ts";
import { Fault, type Json, isObject } from "./drive-json.ts";

/** A host that stands, its clock at zero. */
export interface Host {
  readonly ns: Namespace;
  readonly devices: readonly Interface[];
  readonly tcp: TcpConfig;
  /** Keys of cfg that nobody knows. */
  readonly ignored: string[];
}

/** What the runner calls 0: the host has been up for a while, as any is. Whole microseconds, in ns. */
export const START = 1000 * SECOND;

const defaultMtu = 1500;
const defaultPrefix = 24;

/** Without `dev`: what a runner that names none expects, as packetdrill's defaults have it. */
const defaultDevices: readonly Json[] = [{ name: "tun0", kind: "ip", ip: "192.168.0.1", prefix: 16 }];

/** Throws `Fault` for a value that is none. */
export function buildHost(core: Core, cfg: Record<string, Json>): Host {
  const seed = numberOf(cfg["seed"], "seed", DEFAULT_SEED, -(2 ** 53), 2 ** 53);
  const world = newWorld(core, { seed });
  world.clock.advance(START);
  const ns = new Namespace("sut", world);
  const ignored: string[] = [];
  const devices = listOf(cfg["dev"] ?? (defaultDevices as Json[]), "dev").map((d, i) => addDevice(ns, d, i, ignored));
  if (cfg["forward"] === true) ns.sysctl.set("net.ipv4.ip_forward", 1);
  else if (cfg["forward"] !== undefined) booleanOf(cfg["forward"], "forward");
  for (const route of listOf(cfg["routes"] ?? [], "routes")) addRoute(ns, route, ignored);
  for (const nat of listOf(cfg["nat"] ?? [], "nat")) addNat(ns, nat, ignored);
  const tcp = tcpConfig(cfg);
  for (const key of Object.keys(cfg)) if (!known.has(key)) ignored.push(key);
  return { ns, devices, tcp, ignored };
}

const known = new Set(
  (
    "dev routes seed forward nat sack timestamps wscale ecn syncookies cc initcwnd rto_min_us rto_init_us delack_us quickack " +
    "dupthresh tlp rack rmem wmem syn_retries synack_retries retries2 msl_us keepalive slow_start_after_idle"
  ).split(" "),
);

function addDevice(ns: Namespace, d: Json, index: number, ignored: string[]): Interface {
  const o = objectOf(d, "dev");
  const name = textOf(o["name"], "dev.name", `tun${index}`);
  if (!/^[^\s/]{1,15}$/.test(name) || name === "lo") throw new Fault(`dev.name: '${name}' is no name for a device`);
  const kind = textOf(o["kind"], "dev.kind", "ip");
  if (kind !== "ip" && kind !== "eth") throw new Fault(`dev.kind: '${kind}', expected "ip" or "eth"`);
  const mtu = numberOf(o["mtu"], "dev.mtu", defaultMtu, 68, 65535);
  let mac: Uint8Array | null = Uint8Array.of(2, 0, 0, 0, (index >> 8) & 255, (index + 1) & 255);
  if (kind === "ip") mac = new Uint8Array(6);
  else if (o["mac"] !== undefined) mac = parseMac(textOf(o["mac"], "dev.mac", ""));
  if (mac === null) throw new Fault("dev.mac: expected six bytes such as 02:00:00:00:00:01");
  if (ns.byName.has(name)) throw new Fault(`dev.name: '${name}' is there twice`);
  const dev = ns.addInterface(name, kind === "ip" ? "tun" : "veth", mac, mtu);
  if (o["ip"] !== undefined) {
    const address = addressOf(o["ip"], "dev.ip");
    const prefix = numberOf(o["prefix"], "dev.prefix", defaultPrefix, 0, 32);
    command(ns, `ip addr add ${formatIpv4(address)}/${prefix} dev ${name}`);
  }
  unknownKeys(o, ["name", "kind", "ip", "prefix", "mtu", "mac"], "dev", ignored);
  return dev;
}

function addRoute(ns: Namespace, r: Json, ignored: string[]): void {
  const o = objectOf(r, "routes");
  const dst = textOf(o["dst"], "routes.dst", "default");
  let words = "default";
  if (dst !== "default") {
    const p = parsePrefix(dst);
    if (p === null) throw new Fault(`routes.dst: '${dst}' is no IPv4 network`);
    const fallback = dst.includes("/") ? p.length : p.address === 0 ? 0 : 32;
    words = `${formatIpv4(p.address)}/${numberOf(o["prefix"], "routes.prefix", fallback, 0, 32)}`;
  }
  if (o["via"] !== undefined && o["via"] !== null) words += ` via ${formatIpv4(addressOf(o["via"], "routes.via"))}`;
  if (o["dev"] !== undefined && o["dev"] !== null) words += ` dev ${deviceName(ns, o["dev"], "routes.dev")}`;
  command(ns, `ip route replace ${words}`);
  unknownKeys(o, ["dst", "prefix", "via", "dev"], "routes", ignored);
}

/** One rule of nat's POSTROUTING. */
function addNat(ns: Namespace, r: Json, ignored: string[]): void {
  const o = objectOf(r, "nat");
  const kind = textOf(o["kind"], "nat.kind", "masquerade");
  if (kind !== "masquerade") throw new Fault(`nat.kind: '${kind}', expected "masquerade"`);
  let words = "iptables -t nat -A POSTROUTING";
  if (o["from"] !== undefined) {
    const from = textOf(o["from"], "nat.from", "");
    const p = parsePrefix(from);
    if (p === null) throw new Fault(`nat.from: '${from}' is no IPv4 network`);
    words += ` -s ${formatIpv4(p.address)}/${p.length}`;
  }
  if (o["out"] !== undefined) words += ` -o ${deviceName(ns, o["out"], "nat.out")}`;
  command(ns, `${words} -j MASQUERADE`);
  unknownKeys(o, ["out", "from", "kind"], "nat", ignored);
}

function tcpConfig(cfg: Record<string, Json>): TcpConfig {
  const flag = (key: string, fallback: boolean): boolean => booleanOf(cfg[key] ?? fallback, key);
  const int = (key: string, fallback: number, least: number, most: number): number =>
    numberOf(cfg[key], key, fallback, least, most);
  const us = (key: string, fallback: number): number => int(key, fallback / US, 0, 2 ** 32) * US;
  const d = defaultConfig;
  const cc = textOf(cfg["cc"], "cc", d.congestion);
  if (cc !== "reno" && cc !== "cubic") throw new Fault(`cc: '${cc}', expected "reno" or "cubic"`);
  const rmem = int("rmem", d.receiveBuffer, 256, 2 ** 30);
  const wmem = int("wmem", d.sendBuffer, 256, 2 ** 30);
  const delayed = cfg["delack_us"] !== undefined;
  const keep = cfg["keepalive"] === undefined ? {} : objectOf(cfg["keepalive"], "keepalive");
  const seconds = (key: string, ns: number): number =>
    numberOf(keep[key], `keepalive.${key}`, ns / 1e9, 1, 2 ** 31) * 1e9;
  return {
    ...d,
    sack: flag("sack", d.sack),
    timestamps: flag("timestamps", d.timestamps),
    windowScale: flag("wscale", d.windowScale),
    ecn: int("ecn", d.ecn, 0, 2) as 0 | 1 | 2,
    synCookies: cookies(cfg["syncookies"], d.synCookies),
    congestion: cc,
    initialWindow: int("initcwnd", d.initialWindow, 1, 2 ** 16),
    rtoMin: us("rto_min_us", d.rtoMin),
    rtoInitial: us("rto_init_us", d.rtoInitial),
    delayedAckMin: us("delack_us", d.delayedAckMin),
    delayedAckMax: delayed ? us("delack_us", d.delayedAckMax) : d.delayedAckMax,
    quickAck: flag("quickack", d.quickAck),
    reordering: int("dupthresh", d.reordering, 1, 300),
    tailLossProbe: flag("tlp", d.tailLossProbe),
    rack: flag("rack", d.rack),
    receiveBuffer: rmem,
    receiveBufferMax: cfg["rmem"] === undefined ? d.receiveBufferMax : rmem,
    sendBuffer: wmem,
    sendBufferMax: cfg["wmem"] === undefined ? d.sendBufferMax : wmem,
    synRetries: int("syn_retries", d.synRetries, 0, 255),
    synAckRetries: int("synack_retries", d.synAckRetries, 0, 255),
    retries2: int("retries2", d.retries2, 0, 255),
    maximumSegmentLifetime: us("msl_us", d.maximumSegmentLifetime),
    keepAlive: {
      idle: seconds("idle", d.keepAlive.idle),
      interval: seconds("intvl", d.keepAlive.interval),
      count: numberOf(keep["cnt"], "keepalive.cnt", d.keepAlive.count, 1, 127),
    },
    slowStartAfterIdle: flag("slow_start_after_idle", d.slowStartAfterIdle),
  };
}

function cookies(v: Json | undefined, fallback: 0 | 1 | 2): 0 | 1 | 2 {
  if (v === undefined) return fallback;
  if (typeof v === "boolean") return v ? 1 : 0;
  return numberOf(v, "syncookies", fallback, 0, 2) as 0 | 1 | 2;
}

// -- values

function command(ns: Namespace, words: string): void {
  try {
    runCommand(ns, words);
  } catch (e) {
    throw new Fault(`${words}: ${(e as Error).message}`);
  }
}

function unknownKeys(o: Record<string, Json>, names: readonly string[], where: string, ignored: string[]): void {
  for (const key of Object.keys(o)) {
    const name = `${where}.${key}`;
    if (!names.includes(key) && !ignored.includes(name)) ignored.push(name);
  }
}

function deviceName(ns: Namespace, v: Json, what: string): string {
  const name = textOf(v, what, "");
  if (!ns.byName.has(name)) throw new Fault(`${what}: there is no device '${name}'`);
  return name;
}

function listOf(v: Json, what: string): Json[] {
  if (!Array.isArray(v)) throw new Fault(`${what}: expected a list`);
  if (v.length > 1000) throw new Fault(`${what}: ${v.length} entries are too many`);
  return v;
}

function objectOf(v: Json, what: string): Record<string, Json> {
  if (!isObject(v)) throw new Fault(`${what}: expected an object`);
  return v;
}

function booleanOf(v: Json, what: string): boolean {
  if (v === 0 || v === 1) return v === 1;
  if (typeof v !== "boolean") throw new Fault(`${what}: expected true or false`);
  return v;
}

function textOf(v: Json | undefined, what: string, fallback: string): string {
  if (v === undefined) return fallback;
  if (typeof v !== "string") throw new Fault(`${what}: expected text`);
  return v;
}

function numberOf(v: Json | undefined, what: string, fallback: number, least: number, most: number): number {
  if (v === undefined) return fallback;
  if (typeof v !== "number" || !Number.isInteger(v) || v < least || v > most) {
    throw new Fault(`${what}: expected an integer from ${least} to ${most}`);
  }
  return v;
}

function addressOf(v: Json, what: string): number {
  const a = typeof v === "string" ? parseIpv4(v) : null;
  if (a === null) throw new Fault(`${what}: expected an IPv4 address`);
  return a;
}
