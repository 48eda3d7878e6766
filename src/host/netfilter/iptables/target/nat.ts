// src/host/netfilter/iptables/target/nat.ts: DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP (xt_nat, xt_MASQUERADE, ...).

import { formatIpv4, parseIpv4 } from "../../../../core/address.ts";
import { NatFlag, type NatRange } from "../../host.ts";
import { parsePort } from "../names.ts";
import { formatMask, parseAddress } from "../address.ts";
import { type Fail, type Outcome, type Place, type Target, hookBit } from "../rule.ts";
import type { TargetMaker } from "../targets.ts";
import type { Option } from "../words.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function emptyRange(): Mutable<NatRange> {
  return { flags: 0, minAddr: 0, maxAddr: 0, minPort: 0, maxPort: 0, basePort: 0 };
}

/** `80`, `80-90`, `80-90/1000`: ports, and the port that the first of them stands for (DNAT). */
function readPorts(text: string, r: Mutable<NatRange>, o: Option, withBase: boolean): void {
  const m = /^([^-/]+)(?:-([^/]+))?(?:\/(.+))?$/.exec(text);
  const port = (t: string): number => {
    const p = parsePort(t);
    if (p === null) o.fail(`invalid port or service '${t}'`);
    return p;
  };
  if (m === null || (m[3] !== undefined && (!withBase || m[2] === undefined)))
    o.fail(`${o.name}: bad port range '${text}'`);
  r.minPort = port(m[1]!);
  r.maxPort = m[2] === undefined ? r.minPort : port(m[2]);
  if (r.maxPort < r.minPort) o.fail(`${o.name}: port range '${text}': the first port is above the last`);
  r.flags |= NatFlag.ProtoSpecified;
  if (m[3] !== undefined) {
    r.basePort = port(m[3]);
    r.flags |= NatFlag.ProtoOffset;
  }
}

/** `[address[-address]][:ports]` */
function readDestination(o: Option, place: Place, r: Mutable<NatRange>, withBase: boolean): void {
  const text = o.plain().value("address[-address][:port[-port]]");
  const colon = text.indexOf(":");
  if (colon >= 0) {
    if (![6, 17, 1, 33, 132, 136].includes(place.proto) || place.protoInverted) {
      o.fail(`${o.name}: ports need -p tcp, udp, dccp or sctp`);
    }
    readPorts(text.slice(colon + 1), r, o, withBase);
  }
  const head = colon < 0 ? text : text.slice(0, colon);
  if (head === "") return;
  const [from, to] = head.split("-");
  const min = parseIpv4(from!);
  const max = to === undefined ? min : parseIpv4(to);
  if (min === null || max === null) o.fail(`${o.name}: '${head}' is no IPv4 address or range of them`);
  r.minAddr = min;
  r.maxAddr = max;
  r.flags |= NatFlag.MapIps;
}

function formatPorts(r: NatRange): string {
  let s = String(r.minPort);
  if (r.maxPort !== r.minPort) s += `-${r.maxPort}`;
  if ((r.flags & NatFlag.ProtoOffset) !== 0) s += `/${r.basePort}`;
  return s;
}

function formatDestination(r: NatRange): string {
  let s = "";
  if ((r.flags & NatFlag.MapIps) !== 0) {
    s += formatIpv4(r.minAddr);
    if (r.maxAddr !== r.minAddr) s += `-${formatIpv4(r.maxAddr)}`;
  }
  if ((r.flags & NatFlag.ProtoSpecified) !== 0) s += `:${formatPorts(r)}`;
  return s;
}

/** The flags that all of them know; false when the option is another. */
function readFlag(o: Option, r: Mutable<NatRange>, known: number): boolean {
  const bit = {
    "--random": NatFlag.ProtoRandom,
    "--random-fully": NatFlag.ProtoRandomFully,
    "--persistent": NatFlag.Persistent,
  }[o.name];
  if (bit === undefined || (bit & known) === 0) return false;
  o.plain();
  r.flags |= bit;
  return true;
}

function formatFlags(r: NatRange): string {
  let s = "";
  if ((r.flags & NatFlag.ProtoRandom) !== 0) s += " --random";
  if ((r.flags & NatFlag.ProtoRandomFully) !== 0) s += " --random-fully";
  if ((r.flags & NatFlag.Persistent) !== 0) s += " --persistent";
  return s;
}

const anyFlag = NatFlag.ProtoRandom | NatFlag.ProtoRandomFully | NatFlag.Persistent;

function checkTable(place: Place, name: string, fail: (message: string) => never): void {
  if (place.table !== "nat") fail(`target '${name}' is only valid in the nat table`);
}

const translate =
  (name: "SNAT" | "DNAT", manip: "src" | "dst", option: string, hooks: number): TargetMaker =>
  (place, fail) => {
    checkTable(place, name, fail);
    const r = emptyRange();
    let given = false;
    const known = name === "DNAT" ? anyFlag & ~NatFlag.ProtoRandomFully : anyFlag;
    return {
      option(o) {
        if (o.name !== option) return readFlag(o, r, known);
        if (given) o.fail(`multiple ${option} are not supported`);
        given = true;
        readDestination(o, place, r, name === "DNAT");
        return true;
      },
      finish(missing): Target {
        if (!given) missing(`target '${name}' needs ${option}`);
        const { nat } = place.host.conntrack;
        return {
          text: `${name} ${option} ${formatDestination(r)}${formatFlags(r)}`,
          tracks: true,
          hooks,
          run: (c) => nat.setup(c.frame, manip, r) as number as Outcome,
        };
      },
    };
  };

const masquerade: TargetMaker = (place, fail) => {
  checkTable(place, "MASQUERADE", fail);
  const r = emptyRange();
  return {
    option(o) {
      if (o.name !== "--to-ports") return readFlag(o, r, NatFlag.ProtoRandom | NatFlag.ProtoRandomFully);
      readPorts(o.plain().value("port[-port]"), r, o, false);
      return true;
    },
    finish(): Target {
      const { nat } = place.host.conntrack;
      const ports = (r.flags & NatFlag.ProtoSpecified) !== 0 ? ` --to-ports ${formatPorts(r)}` : "";
      return {
        text: `MASQUERADE${ports}${formatFlags(r)}`,
        tracks: true,
        hooks: hookBit.postrouting,
        run: (c) => nat.masquerade(c.frame, r, c.output!) as number as Outcome,
      };
    },
  };
};

const redirect: TargetMaker = (place, fail) => {
  checkTable(place, "REDIRECT", fail);
  const r = emptyRange();
  return {
    option(o) {
      if (o.name !== "--to-ports") return readFlag(o, r, NatFlag.ProtoRandom);
      readPorts(o.plain().value("port[-port]"), r, o, false);
      return true;
    },
    finish(): Target {
      const { nat } = place.host.conntrack;
      const ports = (r.flags & NatFlag.ProtoSpecified) !== 0 ? ` --to-ports ${formatPorts(r)}` : "";
      return {
        text: `REDIRECT${ports}${formatFlags(r)}`,
        tracks: true,
        hooks: hookBit.prerouting | hookBit.output,
        run: (c) => nat.redirect(c.frame, r, c.hook, c.input) as number as Outcome,
      };
    },
  };
};

const netmap: TargetMaker = (place, fail) => {
  checkTable(place, "NETMAP", fail);
  let to = null as { address: number; mask: number } | null;
  return {
    option(o) {
      if (o.name !== "--to") return false;
      const a = parseAddress(o.plain().value("address/mask"));
      if (a === null) o.fail("--to: expected an IPv4 network");
      to = a;
      return true;
    },
    finish(missing: Fail): Target {
      if (to === null) missing("target 'NETMAP' needs --to");
      const { address, mask } = to;
      const { nat } = place.host.conntrack;
      const r = emptyRange();
      r.flags = NatFlag.MapIps | NatFlag.Netmap;
      r.minAddr = (address & mask) >>> 0;
      r.maxAddr = (address | ~mask) >>> 0;
      const { prerouting, output, input, postrouting } = hookBit;
      return {
        text: `NETMAP --to ${formatIpv4(address)}${formatMask(mask)}`,
        tracks: true,
        hooks: prerouting | output | input | postrouting,
        run: (c) => nat.netmap(c.frame, r, c.hook) as number as Outcome,
      };
    },
  };
};

export const natTargets: Readonly<Record<string, TargetMaker>> = {
  DNAT: translate("DNAT", "dst", "--to-destination", hookBit.prerouting | hookBit.output),
  SNAT: translate("SNAT", "src", "--to-source", hookBit.postrouting | hookBit.input),
  MASQUERADE: masquerade,
  REDIRECT: redirect,
  NETMAP: netmap,
};
