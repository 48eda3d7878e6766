// src/host/linkcommand.ts: `ip link set DEV ...` (ip-link(8)).

import { parseMac } from "../core/address.ts";
import { BridgePort } from "../device/bridgeport.ts";
import type { Interface } from "../link/interface.ts";
import { bridgeOption, bridgePortOption } from "./bridgecommand.ts";
import type { Namespace } from "./namespace.ts";
import { TextError } from "./text.ts";

/** What follows `ip link`: `set [dev] DEV up|down|mtu N|address MAC|master BRIDGE|nomaster|type bridge OPTION VALUE...`. */
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
  if (i === words.length) next("up, down, mtu, address, master, nomaster or type");
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
        setAddress(ns, dev, mac);
        break;
      }
      case "master": {
        const v = next("a bridge");
        const bridge = ns.bridges.get(v.text);
        if (bridge === undefined) throw new TextError(1, v.column, `${ns.name} has no bridge '${v.text}'`);
        if (dev.kind !== "veth") throw new TextError(1, v.column, `a ${dev.kind} cannot be a bridge port`);
        leaveBridge(dev);
        bridge.addPort(dev);
        break;
      }
      case "nomaster":
        leaveBridge(dev);
        break;
      case "type": {
        const kind = next("bridge");
        if (kind.text !== "bridge" && kind.text !== "bridge_slave") {
          throw new TextError(1, kind.column, `type '${kind.text}', expected bridge or bridge_slave`);
        }
        const set = kind.text === "bridge" ? bridgeOption : bridgePortOption;
        while (i < words.length) {
          const key = next("an option");
          if (key.text === "fdb_flush") {
            flushLearned(ns, dev, key.column);
            continue;
          }
          const value = next(`a value of ${key.text}`);
          set(ns, dev, key.text, value.text, key.column, value.column);
        }
        break;
      }
      default:
        throw new TextError(
          1,
          w.column,
          `ip link set: '${w.text}', expected up, down, mtu, address, master, nomaster or type`,
        );
    }
  }
  return "";
}

/** The device's address changes: with it what its bridge and its neighbours know. */
function setAddress(ns: Namespace, dev: Interface, mac: Uint8Array): void {
  const write = (): void => ns.world.core.u8.set(mac, dev.mac);
  const own = ns.bridges.get(dev.name);
  if (own !== undefined) own.changeAddress(null, write);
  else if (dev.rxHandler instanceof BridgePort) dev.rxHandler.bridge.changeAddress(dev.rxHandler, write);
  else write();
  ns.neighbours.addressChanged(dev);
}

function leaveBridge(dev: Interface): void {
  if (dev.rxHandler instanceof BridgePort) dev.rxHandler.bridge.removePort(dev);
}

/** What was learned goes, of a bridge or of one port. */
function flushLearned(ns: Namespace, dev: Interface, column: number): void {
  const own = ns.bridges.get(dev.name);
  const port = dev.rxHandler;
  if (own !== undefined) own.fdb.removeWhere((e) => !e.static);
  else if (port instanceof BridgePort) port.bridge.fdb.removeWhere((e) => e.port === port && !e.static);
  else throw new TextError(1, column, `${dev.name} is neither a bridge nor a port of one`);
}
