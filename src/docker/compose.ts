// src/docker/compose.ts: a Compose file: what is to run on which networks. `docker compose`'s own names and order.

import { parseIpv4, parseMac, parsePrefix, type Prefix } from "../core/address.ts";
import { TextError } from "../host/text.ts";
import { type Path, PlaceError, type YamlKind, YamlText } from "../host/yamltext.ts";
import {
  type ComposeFile,
  composeSchema,
  quietKeys,
  refusedKeys,
  type ServiceFile,
  type ServiceNetworkFile,
  usedKeys,
} from "./composeschema.ts";
import { isTrue, readNetworkOptions } from "./composenetworks.ts";
import { readExpose, readPorts } from "./composeports.ts";
import { interpolate, parseEnvFile, type Variables } from "./interpolate.ts";
import type { EndpointOptions, NetworkOptions } from "./network.ts";
import type { PublishedPort } from "./ports.ts";

/** `file:line:column: what is wrong, what was expected` */
export class ComposeError extends PlaceError {}

const kind: YamlKind = {
  whole: "the Compose file",
  expected: "a Compose file with `services:`",
  merge: true,
  error: (file, line, column, what) => new ComposeError(file, line, column, what),
};

export interface ComposeOptions {
  /** What `${NAME}` stands for. */
  readonly variables?: Variables;
  /** The project's name where the file has none; default `compose`. */
  readonly project?: string;
  /** The text of an `env_file`, null when there is none. */
  readonly readFile?: (path: string) => string | null;
}

export interface ComposeNetwork {
  /** Its key in the file. */
  readonly key: string;
  /** What the engine calls it: `project_key`. */
  readonly name: string;
  readonly options: NetworkOptions;
  readonly at: Path;
}

export interface ComposeService {
  readonly name: string;
  /** A name a container: `project-service-1` ... */
  readonly containers: readonly string[];
  readonly image: string | null;
  /** A Node program of the user's: `x-wirepath`. */
  readonly program: string | null;
  readonly mode: "bridge" | "host" | "none";
  /** By the network's name in the engine, in the order of the devices. */
  readonly networks: Readonly<Record<string, EndpointOptions>>;
  readonly publish: readonly PublishedPort[];
  readonly expose: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly hostname: string | null;
  readonly extraHosts: readonly (readonly [string, string])[];
  readonly dns: readonly number[] | null;
  /** Services that start before it. */
  readonly after: readonly string[];
  readonly at: Path;
}

const SERVICE_NAME = /^[a-zA-Z0-9._-]+$/;
const PROJECT_NAME = /^[a-z0-9][a-z0-9_-]*$/;
const HOST_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/;
const DEFAULT = "default";
/** Containers of a service. */
const MOST_REPLICAS = 10_000;

export class Compose extends YamlText {
  readonly project: string;
  readonly networks: readonly ComposeNetwork[];
  /** In the order in which they start. */
  readonly services: readonly ComposeService[];
  /** What was read and changes nothing: `file:line:column: ...` */
  readonly notes: string[] = [];
  private readonly file: ComposeFile;

  /** Reads the file; throws `ComposeError`. `name` is what errors call it. */
  constructor(
    name: string,
    text: string,
    private readonly options: ComposeOptions = {},
  ) {
    super(name, text, kind);
    const variables = options.variables ?? new Map<string, string>();
    const missed = new Set<string>();
    this.changeStrings((s) => interpolate(s, variables, (v) => missed.add(v)));
    for (const v of missed) this.notes.push(`${name}: the variable '${v}' is not set, nothing stands in its place`);
    this.file = this.check(composeSchema);
    this.checkKeys("top", this.file, []);
    this.project = this.projectName();
    this.networks = this.readNetworks();
    const services: ComposeService[] = [];
    for (const [key, service] of Object.entries(this.file.services)) {
      const read = this.readService(key, service ?? {});
      if (read !== null) services.push(read);
    }
    if (services.length === 0) throw this.error(["services"], "there is no service to start");
    this.checkContainers(services);
    this.services = this.inOrder(services);
  }

  /** The network's name in the engine by its key; throws at `path`. */
  private networkName(key: string, path: Path): string {
    const found = this.networks.find((n) => n.key === key);
    if (found === undefined) {
      const known = Object.keys(this.file.networks ?? {});
      const expected = known.length === 0 ? "there is no `networks:`" : `expected one of ${known.join(", ")}`;
      throw this.error(path, `network '${key}' is not defined, ${expected}`);
    }
    return found.name;
  }

  // -- keys

  /** Names what is not known, and notes what has no effect. */
  private checkKeys(what: "top" | "service" | "network", value: object, path: Path): void {
    for (const key of Object.keys(value)) {
      if (usedKeys[what].has(key) || key.startsWith("x-")) continue;
      if (quietKeys[what].has(key)) this.note([...path, key], `'${key}' has no effect on the network`);
      else if (refusedKeys[what].has(key)) throw this.errorAtKey([...path, key], `'${key}' is not supported`);
      else throw this.errorAtKey([...path, key], `unknown key '${key}'`);
    }
  }

  private note(path: Path, text: string): void {
    this.notes.push(this.errorAtKey(path, text).message);
  }

  private projectName(): string {
    const given = this.file.name;
    if (given !== undefined) {
      if (!PROJECT_NAME.test(given)) {
        throw this.error(["name"], `'${given}' is no project name, expected lower-case letters, digits, - and _`);
      }
      return given;
    }
    const made = (this.options.project ?? "compose")
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, "")
      .replace(/^[_-]+/, "");
    return made === "" ? "compose" : made;
  }

  // -- networks

  private readNetworks(): ComposeNetwork[] {
    const files = new Map(Object.entries(this.file.networks ?? {}));
    const usesDefault = Object.values(this.file.services).some((s) => !s?.networks && s?.network_mode === undefined);
    if (usesDefault && !files.has(DEFAULT)) files.set(DEFAULT, null);
    const seen = new Map<string, string>();
    return [...files].map(([key, file]) => {
      const at = ["networks", key];
      const name = file?.name ?? `${this.project}_${key}`;
      if (seen.has(name))
        throw this.error([...at, "name"], `'${name}' is the name of network '${seen.get(name)}' already`);
      seen.set(name, key);
      if (file !== null) this.checkKeys("network", file, at);
      return { key, name, at, options: readNetworkOptions(this, file ?? {}, at, name) };
    });
  }

  // -- services

  private readService(key: string, file: ServiceFile): ComposeService | null {
    const at = ["services", key];
    if (!SERVICE_NAME.test(key)) {
      throw this.errorAtKey(at, `'${key}' is no service name, expected letters, digits, ., _ and -`);
    }
    this.checkKeys("service", file, at);
    if (file.profiles !== undefined && file.profiles.length > 0) {
      this.note([...at, "profiles"], `service '${key}' has a profile and is not started`);
      return null;
    }
    if (file.image === undefined && file["x-wirepath"] === undefined) {
      if (file["build"] === undefined)
        throw this.errorAtKey(at, `service '${key}' has neither an image nor a build context`);
      this.note([...at, "build"], `nothing is built: in the container of '${key}' runs nothing`);
    }
    const mode = this.readMode(file, at);
    if (mode !== "bridge" && file.networks !== undefined) {
      throw this.errorAtKey([...at, "networks"], `'networks' and 'network_mode: ${mode}' exclude each other`);
    }
    const publish = readPorts(this, file.ports ?? [], [...at, "ports"]);
    if (mode === "host" && publish.length > 0) {
      this.note(
        [...at, "ports"],
        "ports of a container on the host's network are the host's own, nothing is published",
      );
    }
    return {
      name: key,
      at,
      containers: this.containerNames(key, file, at),
      image: file.image ?? null,
      program: file["x-wirepath"] ?? null,
      mode,
      networks: mode === "bridge" ? this.readServiceNetworks(key, file, at) : {},
      publish: mode === "bridge" ? publish : [],
      expose: readExpose(this, file.expose ?? [], [...at, "expose"]),
      environment: this.readEnvironment(file, at),
      command: typeof file.command === "string" ? splitCommand(file.command) : (file.command ?? []),
      hostname: this.hostname(file.hostname, at),
      extraHosts: this.readExtraHosts(file, at),
      dns:
        file.dns === undefined
          ? null
          : [file.dns]
              .flat()
              .map((a, i) => this.address([...at, "dns", ...(typeof file.dns === "string" ? [] : [i])], a)),
      after: this.readDependencies(key, file, at),
    };
  }

  private readMode(file: ServiceFile, at: Path): "bridge" | "host" | "none" {
    const mode = file.network_mode;
    if (mode === undefined) return "bridge";
    if (mode === "host" || mode === "none" || mode === "bridge") return mode;
    throw this.error([...at, "network_mode"], `'${mode}' is not supported, expected bridge, host or none`);
  }

  private containerNames(key: string, file: ServiceFile, at: Path): string[] {
    const path = file.scale !== undefined ? [...at, "scale"] : [...at, "deploy", "replicas"];
    const wanted = file.scale ?? file.deploy?.replicas ?? 1;
    const count = this.whole(path, String(wanted), 0, MOST_REPLICAS);
    for (const other of Object.keys(file.deploy ?? {})) {
      if (other !== "replicas") this.note([...at, "deploy", other], `'${other}' has no effect on the network`);
    }
    if (file.container_name === undefined) {
      return Array.from({ length: count }, (_, i) => `${this.project}-${key}-${i + 1}`);
    }
    if (count > 1)
      throw this.error([...at, "container_name"], `service '${key}' has ${count} containers, one name is not enough`);
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(file.container_name)) {
      throw this.error([...at, "container_name"], `'${file.container_name}' is no container name`);
    }
    return count === 0 ? [] : [file.container_name];
  }

  private readServiceNetworks(key: string, file: ServiceFile, at: Path): Record<string, EndpointOptions> {
    if (file.network_mode === "bridge") return { bridge: {} };
    const path = [...at, "networks"];
    const listed = file.networks ?? [DEFAULT];
    const given: [string, ServiceNetworkFile, Path][] = Array.isArray(listed)
      ? listed.map((n, i) => [n, {}, [...path, i]])
      : Object.entries(listed).map(([n, options]) => [n, options ?? {}, [...path, n]]);
    if (given.length === 0) given.push([DEFAULT, {}, path]);
    // compose joins by priority, then by name
    const priority = ([, o, where]: (typeof given)[number]): number =>
      this.whole([...where, "priority"], String(o.priority ?? 0), -(2 ** 31), 2 ** 31);
    given.sort((a, b) => priority(b) - priority(a) || (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    const out: Record<string, EndpointOptions> = {};
    for (const [network, o, where] of given) {
      const name = this.networkName(network, where);
      if (out[name] !== undefined) throw this.error(where, `network '${network}' is named twice`);
      const mac = o.mac_address ?? (given.length === 1 ? file.mac_address : undefined);
      out[name] = {
        aliases: [key, ...(o.aliases ?? [])],
        ...(o.ipv4_address === undefined ? {} : { address: this.address([...where, "ipv4_address"], o.ipv4_address) }),
        ...(mac === undefined ? {} : { mac: this.mac([...where, "mac_address"], mac) }),
        ...(o.gw_priority === undefined
          ? {}
          : { gatewayPriority: this.whole([...where, "gw_priority"], String(o.gw_priority), -(2 ** 31), 2 ** 31) }),
      };
    }
    return out;
  }

  private readEnvironment(file: ServiceFile, at: Path): Record<string, string> {
    const out: Record<string, string> = {};
    this.readEnvFiles(file.env_file, [...at, "env_file"], out);
    const { variables } = this.options;
    const own = (name: string): void => {
      // a name alone takes over the value of the shell
      const value = variables?.get(name);
      if (value !== undefined) out[name] = value;
    };
    const given = file.environment ?? [];
    if (Array.isArray(given)) {
      for (const line of given.map(String)) {
        const eq = line.indexOf("=");
        if (eq < 0) own(line);
        else out[line.slice(0, eq)] = line.slice(eq + 1);
      }
    } else {
      for (const [name, value] of Object.entries(given)) {
        if (value === null) own(name);
        else out[name] = String(value);
      }
    }
    return out;
  }

  private readEnvFiles(given: unknown, path: Path, out: Record<string, string>): void {
    if (given === undefined || given === null) return;
    const list = Array.isArray(given) ? given : [given];
    list.forEach((entry: unknown, i) => {
      const where = Array.isArray(given) ? [...path, i] : path;
      const record =
        typeof entry === "object" && entry !== null ? (entry as { path?: unknown; required?: unknown }) : {};
      const file = typeof entry === "string" ? entry : record.path;
      if (typeof file !== "string") throw this.error(where, "expected the path of a file");
      const text = this.options.readFile?.(file) ?? null;
      if (text === null) {
        if (record.required === false) return;
        throw this.error(where, `the file '${file}' cannot be read`);
      }
      try {
        for (const [name, value] of parseEnvFile(text)) out[name] = value;
      } catch (e) {
        if (e instanceof TextError) throw new ComposeError(file, e.line, e.column, e.message);
        throw e;
      }
    });
  }

  private hostname(name: string | undefined, at: Path): string | null {
    if (name === undefined) return null;
    if (!HOST_NAME.test(name)) throw this.error([...at, "hostname"], `'${name}' is no host name`);
    return name;
  }

  /** `name:address`, `name=address`, or a map. */
  private readExtraHosts(file: ServiceFile, at: Path): [string, string][] {
    const given = file.extra_hosts ?? [];
    const path = [...at, "extra_hosts"];
    const out: [string, string][] = [];
    const add = (name: string, address: string, where: Path): void => {
      if (address !== "host-gateway") this.address(where, address);
      out.push([name, address]);
    };
    if (!Array.isArray(given)) {
      for (const [name, addresses] of Object.entries(given)) {
        for (const a of [addresses].flat()) add(name, a, [...path, name]);
      }
      return out;
    }
    given.forEach((line, i) => {
      const m = /^([^:=]+)[:=](.*)$/.exec(line);
      if (m === null) throw this.error([...path, i], `'${line}', expected NAME:ADDRESS`);
      add(m[1]!, m[2]!, [...path, i]);
    });
    return out;
  }

  private readDependencies(key: string, file: ServiceFile, at: Path): string[] {
    const given = file.depends_on ?? [];
    const path = [...at, "depends_on"];
    const names = Array.isArray(given) ? given : Object.keys(given);
    const out: string[] = [];
    names.forEach((name, i) => {
      const where = Array.isArray(given) ? [...path, i] : [...path, name];
      const other = this.file.services[name];
      const options = Array.isArray(given) ? {} : given[name]!;
      const optional = options.required !== undefined && !isTrue(options.required);
      if (other === undefined) {
        if (optional) return;
        throw this.error(where, `service '${key}' depends on '${name}', which is not defined`);
      }
      if (name === key) throw this.error(where, `service '${key}' depends on itself`);
      if (options.condition === "service_completed_successfully") {
        throw this.error(
          [...where, "condition"],
          "programs here do not end, expected service_started or service_healthy",
        );
      }
      if (options.condition === "service_healthy") {
        this.note([...where, "condition"], `'${name}' counts as healthy once it is started`);
      }
      if (other?.profiles !== undefined && other.profiles.length > 0) {
        if (optional) return;
        throw this.error(where, `service '${key}' depends on '${name}', which has a profile and is not started`);
      }
      out.push(name);
    });
    return out;
  }

  private checkContainers(services: readonly ComposeService[]): void {
    const seen = new Map<string, string>();
    for (const s of services) {
      for (const c of s.containers) {
        const other = seen.get(c);
        if (other !== undefined) {
          throw this.error([...s.at, "container_name"], `container '${c}' is of service '${other}' already`);
        }
        seen.set(c, s.name);
      }
    }
  }

  /** Each behind what it depends on, else as they stand in the file. */
  private inOrder(services: readonly ComposeService[]): ComposeService[] {
    const byName = new Map(services.map((s) => [s.name, s]));
    const out: ComposeService[] = [];
    const done = new Set<string>();
    const visit = (s: ComposeService, path: readonly string[]): void => {
      if (done.has(s.name)) return;
      if (path.includes(s.name)) {
        const circle = [...path.slice(path.indexOf(s.name)), s.name].join(" -> ");
        throw this.errorAtKey([...s.at, "depends_on"], `services depend on each other: ${circle}`);
      }
      for (const name of s.after) visit(byName.get(name)!, [...path, s.name]);
      done.add(s.name);
      out.push(s);
    };
    for (const s of services) visit(s, []);
    return out;
  }

  // -- words

  /** An IPv4 address at `path`. */
  address(path: Path, text: string): number {
    const a = parseIpv4(text);
    if (a === null) throw this.error(path, `'${text}' is no IPv4 address`);
    return a;
  }

  /** An IPv4 subnet at `path`. */
  prefix(path: Path, text: string): Prefix {
    const p = text.includes("/") ? parsePrefix(text) : null;
    if (p === null) throw this.error(path, `'${text}' is no IPv4 subnet, expected one such as 172.28.0.0/16`);
    return p;
  }

  private mac(path: Path, text: string): Uint8Array {
    const mac = parseMac(text);
    if (mac === null || (mac[0]! & 1) !== 0) throw this.error(path, `'${text}' is no MAC address of one station`);
    return mac;
  }

  /** A whole number at `path`. */
  whole(path: Path, text: string, least: number, most: number): number {
    const n = /^-?\d+$/.test(text) ? Number(text) : NaN;
    if (!(n >= least && n <= most)) throw this.error(path, `'${text}', expected a number from ${least} to ${most}`);
    return n;
  }
}

/** A command as a shell would split it: white space, quotes, backslashes. */
function splitCommand(text: string): string[] {
  const out: string[] = [];
  for (const m of text.matchAll(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g)) {
    out.push(
      m[0].replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g, (_, a, b, c) => a ?? b?.replace(/\\(.)/g, "$1") ?? c ?? ""),
    );
  }
  return out;
}
