// src/docker/composeports.ts: `ports` and `expose` of a Compose service.

import { TextError } from "../host/text.ts";
import type { Path } from "../host/yamltext.ts";
import type { Compose } from "./compose.ts";
import type { ServiceFile } from "./composeschema.ts";
import { parsePublish, parseRange, type PublishedPort } from "./ports.ts";

type PortFile = NonNullable<ServiceFile["ports"]>[number];

export function readPorts(text: Compose, ports: readonly PortFile[], at: Path): PublishedPort[] {
  return ports.flatMap((p, i) => {
    const path = [...at, i];
    if (typeof p !== "object") return text.within(path, () => parsePublish(String(p)));
    const protocol = (p.protocol ?? "tcp").toLowerCase();
    if (protocol !== "tcp" && protocol !== "udp") {
      throw text.error([...path, "protocol"], `protocol '${p.protocol}', expected tcp or udp`);
    }
    const containerPort = text.whole([...path, "target"], String(p.target), 1, 65535);
    const hostAddress = p.host_ip === undefined ? 0 : text.address([...path, "host_ip"], p.host_ip);
    const published = p.published === undefined ? "" : String(p.published);
    const hostPorts =
      published === "" || published === "0"
        ? null
        : text.within([...path, "published"], () => parseRange(published, 1, published));
    return [{ protocol, containerPort, hostAddress, hostPorts }];
  });
}

/** `80`, `80/tcp`, `80-90/udp`: `80/tcp`. */
export function readExpose(text: Compose, expose: readonly (string | number)[], at: Path): string[] {
  return expose.map((e, i) =>
    text.within([...at, i], () => {
      const [port, protocol = "tcp"] = String(e).split("/");
      parseRange(port!, 1, String(e));
      if (protocol !== "tcp" && protocol !== "udp") {
        throw new TextError(1, port!.length + 2, `protocol '${protocol}', expected tcp or udp`);
      }
      return `${port}/${protocol}`;
    }),
  );
}
