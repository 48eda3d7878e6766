// tests/docker/support.ts: a host with an engine, somebody outside, and who reaches whom.

import { parseIpv4 } from "../../src/core/address.ts";
import type { Core } from "../../src/core/core.ts";
import { Engine, type EngineOptions } from "../../src/docker/engine.ts";
import { tcpOf, udpOf } from "../../src/docker/transports.ts";
import { Namespace } from "../../src/host/namespace.ts";
import { SECOND } from "../../src/link/clock.ts";
import { newWorld } from "../../src/link/newworld.ts";
import { connect } from "../../src/link/wire.ts";
import type { World } from "../../src/link/world.ts";
import { SocketError } from "../../src/transport/errno.ts";

export const HOST = "198.51.100.20";
export const CLIENT = "198.51.100.10";

export interface Place {
  readonly world: World;
  readonly host: Namespace;
  readonly client: Namespace;
  readonly engine: Engine;
}

const mac = (n: number): Uint8Array => Uint8Array.from([2, 0, 0, 0, 0, n]);

/** A host with an engine and a client on the same wire; the client sends all that is not its own to the host. */
export function place(core: Core, options: EngineOptions = {}): Place {
  const world = newWorld(core);
  const host = new Namespace("host", world);
  const client = new Namespace("client", world);
  const a = client.addInterface("eth0", "veth", mac(1), 1500);
  const b = host.addInterface("eth0", "veth", mac(2), 1500);
  connect(a, b);
  client.fib.command(`addr add ${CLIENT}/24 dev eth0`);
  host.fib.command(`addr add ${HOST}/24 dev eth0`);
  client.fib.command(`route add default via ${HOST}`);
  return { world, host, client, engine: new Engine(host, options) };
}

/** Runs the world for so many seconds at the most. */
export function runWhile(ns: Namespace, seconds: number, waits: () => boolean): void {
  const { clock } = ns.world;
  const until = clock.now + seconds * SECOND;
  while (waits() && clock.next() <= until) clock.step();
}

/** A listener that greets with `text` and closes. */
export function greet(ns: Namespace, port: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  const listener = tcpOf(ns).listen(0, port, 16, {
    wake: () => {
      for (let c = listener.accept(); c !== null; c = listener.accept()) {
        c.write(bytes);
        c.close();
      }
    },
  });
}

/** What the peer says first, or how the attempt failed; runs the world for up to four seconds. */
export function hear(ns: Namespace, address: string | number, port: number): string {
  const buffer = new Uint8Array(1000);
  let result = null as string | null;
  try {
    const c = tcpOf(ns).connect(typeof address === "number" ? address : parseIpv4(address)!, port, {
      wake: () => {
        if (c.error !== null) result ??= c.takeError()!;
        else if (c.readable > 0) result ??= new TextDecoder().decode(buffer.subarray(0, c.read(buffer)));
        else if (c.readEnded) result ??= "EOF";
      },
    });
    runWhile(ns, 4, () => result === null);
    c.abort();
  } catch (e) {
    if (!(e instanceof SocketError)) throw e;
    result = e.code;
  }
  return result ?? "timeout";
}

/** A datagram there, and what comes back within a second. */
export function askUdp(ns: Namespace, address: string, port: number, query: Uint8Array): Uint8Array | null {
  const buffer = new Uint8Array(65535);
  let answer = null as Uint8Array | null;
  const socket = udpOf(ns).open({
    wake: () => {
      const n = socket.receive(buffer);
      if (n >= 0) answer ??= buffer.slice(0, n);
    },
  });
  socket.connect(parseIpv4(address)!, port);
  socket.send(query, 0, query.length);
  runWhile(ns, 1, () => answer === null);
  socket.close();
  return answer;
}

/** A UDP service that says back what `answer` makes of each datagram. */
export function echo(ns: Namespace, port: number, answer: (query: Uint8Array) => Uint8Array = (q) => q): void {
  const buffer = new Uint8Array(65535);
  const socket = udpOf(ns).open({
    wake: () => {
      for (let n = socket.receive(buffer); n >= 0; n = socket.receive(buffer)) {
        const { address, port: to } = socket.arrival;
        const bytes = answer(buffer.slice(0, n));
        socket.send(bytes, 0, bytes.length, address, to);
      }
    },
  });
  socket.bind(0, port);
}

/** What comes back for these bytes within four seconds. */
export function get(ns: Namespace, address: string, port: number, request: string): string {
  const buffer = new Uint8Array(65535);
  let text = "";
  let over = false;
  const c = tcpOf(ns).connect(parseIpv4(address)!, port, {
    wake: () => {
      if (c.error !== null) over = true;
      while (c.readable > 0) text += new TextDecoder().decode(buffer.subarray(0, c.read(buffer)));
    },
  });
  c.write(new TextEncoder().encode(request));
  runWhile(ns, 4, () => !over);
  c.abort();
  return text;
}
