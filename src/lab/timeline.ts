// src/lab/timeline.ts: what happens at a time: commands, sockets that open, packets that a host sends.

import { parseIpv4 } from "../core/address.ts";
import { runCommand } from "../host/commands.ts";
import type { Namespace } from "../host/namespace.ts";
import { TextError } from "../host/text.ts";
import type { World } from "../link/world.ts";
import type { LabText, Path } from "./read.ts";
import type { SendFile } from "./schema.ts";
import { parseHex, parseListen, parseTime } from "./words.ts";

/** Checks every event now, so that a wrong one is found before anything runs, and sets them on the clock. */
export function scheduleTimeline(
  text: LabText,
  world: World,
  nodes: ReadonlyMap<string, Namespace>,
  only: string | null,
): void {
  text.file.timeline?.forEach((event, i) => {
    const at = (...path: (string | number)[]): Path => ["timeline", i, ...path];
    const time = text.within(at("at"), () => parseTime(event.at));
    const ns = nodes.get(event.node);
    if (ns === undefined) throw text.error(at("node"), `there is no node '${event.node}'`);
    const when = (run: () => void): void => {
      if (only === null || only === event.node) world.clock.at(time, run);
    };
    event.run?.forEach((line, k) => {
      when(() => world.backlog.hold(() => void text.within(at("run", k), () => runCommand(ns, line))));
    });
    event.listen?.forEach((l, k) => {
      const { proto, address, port } = text.within(at("listen", k), () => parseListen(l));
      when(() => void ns.sockets.open(proto, address, port));
    });
    if (event.send !== undefined) {
      const send = text.within(at("send"), () => parseSend(ns, event.send!));
      when(() => world.backlog.hold(send));
    }
  });
}

function address(text: string): number {
  const a = parseIpv4(text);
  if (a === null) throw new TextError(1, 1, `'${text}' is no IPv4 address`);
  return a;
}

/** What sends the packet when its time comes. */
function parseSend(ns: Namespace, s: SendFile): () => void {
  const src = s.src === undefined ? 0 : address(s.src);
  const dst = address(s.dst);
  const payload = parseHex(s.payload ?? "");
  const ttl = s.ttl ?? 0;
  switch (s.proto) {
    case "udp": {
      const { sport, dport } = s;
      if (sport === undefined || dport === undefined) throw new TextError(1, 1, "udp: expected sport and dport");
      return () => ns.originate.udp(src, sport, dst, dport, payload, ttl);
    }
    case "icmp":
      return () => ns.originate.raw(1, src, dst, payload, ttl);
    default:
      throw new TextError(1, 1, `proto '${s.proto}': expected udp or icmp`);
  }
}
