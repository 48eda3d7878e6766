// src/docker/composenetworks.ts: what a Compose file says of a network, as the engine takes it.

import type { Path } from "../host/yamltext.ts";
import type { Compose } from "./compose.ts";
import type { NetworkFile } from "./composeschema.ts";
import type { NetworkOptions } from "./network.ts";

/** YAML's own, or what interpolation left. */
export function isTrue(value: unknown): boolean {
  return value === true || value === "true";
}

/** Throws at the place of what is not supported. */
export function readNetworkOptions(text: Compose, file: NetworkFile, at: Path, name: string): NetworkOptions {
  if (isTrue(file.external) || typeof file.external === "object") {
    throw text.errorAtKey(
      [...at, "external"],
      `network '${name}' is external: there is no network outside of this file`,
    );
  }
  if (file.driver !== undefined && file.driver !== "bridge" && file.driver !== "default") {
    throw text.error([...at, "driver"], `driver '${file.driver}' is not supported, expected bridge`);
  }
  if (isTrue(file.enable_ipv6)) throw text.errorAtKey([...at, "enable_ipv6"], "IPv6 is not emulated");
  if (file.enable_ipv4 !== undefined && !isTrue(file.enable_ipv4)) {
    throw text.errorAtKey([...at, "enable_ipv4"], "a network without IPv4 has nothing that is emulated");
  }
  if (file.ipam?.driver !== undefined && file.ipam.driver !== "default") {
    throw text.error([...at, "ipam", "driver"], `ipam driver '${file.ipam.driver}' is not supported, expected default`);
  }
  const configs = file.ipam?.config ?? [];
  if (configs.length > 1)
    throw text.error([...at, "ipam", "config", 1], "a network has one IPv4 subnet, expected one entry");
  const config = configs[0] ?? {};
  const where = [...at, "ipam", "config", 0];
  const subnet = config.subnet === undefined ? undefined : text.prefix([...where, "subnet"], config.subnet);
  const inside = (key: string): Path => {
    if (subnet === undefined) throw text.errorAtKey([...where, key], `'${key}' needs a 'subnet' beside it`);
    return [...where, key];
  };
  return {
    ...(subnet === undefined ? {} : { subnet }),
    ...(config.gateway === undefined ? {} : { gateway: text.address(inside("gateway"), config.gateway) }),
    ...(config.ip_range === undefined ? {} : { ipRange: text.prefix(inside("ip_range"), config.ip_range) }),
    ...(config.aux_addresses === undefined
      ? {}
      : {
          auxAddresses: Object.entries(config.aux_addresses).map(([k, a]) =>
            text.address([...inside("aux_addresses"), k], a),
          ),
        }),
    internal: isTrue(file.internal),
    ...driverOptions(text, file.driver_opts ?? {}, [...at, "driver_opts"]),
  };
}

function driverOptions(compose: Compose, options: Readonly<Record<string, unknown>>, at: Path): NetworkOptions {
  const out: { -readonly [K in keyof NetworkOptions]: NetworkOptions[K] } = {};
  for (const [key, value] of Object.entries(options)) {
    const text = String(value);
    const path = [...at, key];
    const bool = (): boolean => {
      if (!/^(true|false|1|0)$/i.test(text)) throw compose.error(path, `'${text}', expected true or false`);
      return /^(true|1)$/i.test(text);
    };
    switch (key) {
      case "com.docker.network.bridge.name":
        out.device = text;
        break;
      case "com.docker.network.bridge.enable_icc":
        out.icc = bool();
        break;
      case "com.docker.network.bridge.enable_ip_masquerade":
        out.masquerade = bool();
        break;
      case "com.docker.network.bridge.host_binding_ipv4":
        out.hostAddress = compose.address(path, text);
        break;
      case "com.docker.network.driver.mtu":
        out.mtu = compose.whole(path, text, 68, 65535);
        break;
      default:
        throw compose.errorAtKey(path, `driver option '${key}' is not supported`);
    }
  }
  return out;
}
