// src/host/linkcommand.ts: `ip link set DEV ...` (ip-link(8)).

import { bridgeOption } from "./bridgecommand.ts";
import { parseMac } from "../core/address.ts";
import type { Namespace } from "./namespace.ts";
import { TextError } from "./text.ts";

/** What follows `ip link`: `set [dev] DEV up|down|mtu N|address MAC|type bridge OPTION VALUE...`. */
export function linkCommand(ns: Namespace, rest: string): string {
  const words: { text: string; column: number }[] = [];
  for (const m of rest.matchAll(/\S+/g)) words.push({ text: m[0], column: m.index + 1 });
  let i = 0;
  const next = (what: string): { text: string; column: number } => {
    const w = words[i++];
    if (w === undefined) throw new TextError(1, rest.length + 1, `ip link: the line ends, expected ${what}`);
    return w;
  };
  const verb = next("set");
  if (verb.text !== "set") throw new TextError(1, verb.column, `ip link: '${verb.text}', expected set`);
  let name = next("a device");
  if (name.text === "dev") name = next("a device");
  const dev = ns.byName.get(name.text);
  if (dev === undefined) throw new TextError(1, name.column, `${ns.name} has no device '${name.text}'`);
  if (i === words.length) next("up, down, mtu, address or type");
  while (i < words.length) {
    const w = next("a word");
    switch (w.text) {
      case "up":
      case "down":
        ns.setLink(dev, w.text === "up");
        break;
      case "mtu": {
        const v = next("a number of bytes");
        const mtu = Number(v.text);
        if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535) {
          throw new TextError(1, v.column, `mtu '${v.text}', expected 68 to 65535`);
        }
        dev.mtu = mtu;
        ns.fib.changed();
        break;
      }
      case "address": {
        const v = next("a MAC address");
        const mac = parseMac(v.text);
        if (mac === null) throw new TextError(1, v.column, `'${v.text}' is no MAC address`);
        ns.world.core.u8.set(mac, dev.mac);
        break;
      }
      case "type": {
        const kind = next("bridge");
        if (kind.text !== "bridge") throw new TextError(1, kind.column, `type '${kind.text}', expected bridge`);
        while (i < words.length) {
          const key = next("an option");
          const value = next(`a value of ${key.text}`);
          bridgeOption(ns, dev, key.text, value.text, key.column, value.column);
        }
        break;
      }
      default:
        throw new TextError(1, w.column, `ip link set: '${w.text}', expected up, down, mtu, address or type`);
    }
  }
  return "";
}
