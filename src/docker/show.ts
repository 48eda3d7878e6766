// src/docker/show.ts: what the docker command prints about an engine: `docker ps`, `network ls`, `network inspect`, `port`.

import { formatIpv4, formatMac, formatPrefix } from "../core/address.ts";
import type { Binding, Container } from "./container.ts";
import type { Engine } from "./engine.ts";
import type { Network } from "./network.ts";

const SHORT = 12;

/** Columns as wide as their widest word, three blanks between. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]! + 3))).join(""))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** `docker ps`, `-a` when `all`. */
export function formatPs(engine: Engine, all = false): string {
  const rows = [["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]];
  for (const c of [...engine.containers.values()].toReversed()) {
    if (!c.running && !all) continue;
    const { now } = engine.host.world.clock;
    const command = c.options.command ?? [];
    rows.push([
      c.id.slice(0, SHORT),
      c.options.imageName ?? "-",
      command.length === 0 ? "-" : `"${shorten(command.join(" "), 20)}"`,
      `${duration(now - c.createdAt)} ago`,
      c.running ? `Up ${duration(now - c.startedAt)}` : c.state === "created" ? "Created" : "Exited",
      formatPorts(c),
      c.name,
    ]);
  }
  return columns(rows);
}

/** `0.0.0.0:8080->80/tcp, 5432/tcp`: what is published, then what is only exposed. */
export function formatPorts(c: Container): string {
  const published = new Set(c.bindings.map((b) => `${b.port}/${b.protocol}`));
  const exposed = [...(c.options.image?.exposes ?? []), ...(c.options.expose ?? [])];
  const rest = c.running && c.options.mode !== "host" ? exposed.filter((p) => !published.has(p)) : [];
  return [...c.bindings.map(formatBinding), ...new Set(rest)].join(", ");
}

export function formatBinding(b: Binding): string {
  return `${formatIpv4(b.hostAddress)}:${b.hostPort}->${b.port}/${b.protocol}`;
}

/** `docker network ls` */
export function formatNetworks(engine: Engine): string {
  const rows = [["NETWORK ID", "NAME", "DRIVER", "SCOPE"]];
  for (const n of [...engine.networks.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    rows.push([n.id.slice(0, SHORT), n.name, "bridge", "local"]);
  }
  return columns(rows);
}

/** `docker network inspect NAME`: an array of one, indented by four. */
export function inspectNetwork(n: Network): string {
  const config: Record<string, unknown> = { Subnet: formatPrefix(n.subnet) };
  if (n.options.ipRange !== undefined) config["IPRange"] = formatPrefix(n.options.ipRange);
  config["Gateway"] = formatIpv4(n.gateway);
  const containers: Record<string, unknown> = {};
  for (const [c, e] of n.endpoints) {
    containers[c.id] = {
      Name: c.name,
      EndpointID: e.id,
      MacAddress: formatMac(e.mac),
      IPv4Address: `${formatIpv4(e.address)}/${n.subnet.length}`,
      IPv6Address: "",
    };
  }
  const options: Record<string, string> = {};
  if (!n.hasNames || !n.icc) options["com.docker.network.bridge.enable_icc"] = String(n.icc);
  if (!n.hasNames || !n.masquerade) options["com.docker.network.bridge.enable_ip_masquerade"] = String(n.masquerade);
  if (!n.hasNames || n.options.device !== undefined) options["com.docker.network.bridge.name"] = n.device;
  if (!n.hasNames || n.options.mtu !== undefined) options["com.docker.network.driver.mtu"] = String(n.mtu);
  const about = {
    Name: n.name,
    Id: n.id,
    Scope: "local",
    Driver: "bridge",
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: [config] },
    Internal: n.internal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: containers,
    Options: options,
    Labels: n.options.labels ?? {},
  };
  return `${JSON.stringify([about], null, 4)}\n`;
}

/** `docker port CONTAINER` */
export function formatPublished(c: Container): string {
  return c.bindings.map((b) => `${b.port}/${b.protocol} -> ${formatIpv4(b.hostAddress)}:${b.hostPort}\n`).join("");
}

/** Nanoseconds in the engine's words. */
function duration(ns: number): string {
  const s = Math.floor(ns / 1e9);
  if (s < 1) return "Less than a second";
  if (s === 1) return "1 second";
  if (s < 60) return `${s} seconds`;
  const m = Math.floor(s / 60);
  if (m === 1) return "About a minute";
  if (m < 60) return `${m} minutes`;
  const h = Math.round(m / 60);
  if (h === 1) return "About an hour";
  if (h < 48) return `${h} hours`;
  return `${Math.floor(h / 24)} days`;
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
