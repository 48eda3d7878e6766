// tests/support/tcppair.ts: two hosts with TCP and a link between them, in virtual time.

import { buildLab, type Lab } from "../../src/lab/build.ts";
import { LabText } from "../../src/lab/read.ts";
import type { Core } from "../../src/core/core.ts";
import type { Connection } from "../../src/transport/tcp/connection.ts";
import type { EndpointOptions } from "../../src/transport/tcp/endpoint.ts";
import { Tcp } from "../../src/transport/tcp/tcp.ts";

export const SERVER = 0x0a000002;
export const CLIENT = 0x0a000001;

export interface TcpPair {
  readonly lab: Lab;
  readonly client: Tcp;
  readonly server: Tcp;
}

export function tcpPair(core: Core, netem: string, seed: number, sysctl = "{}"): TcpPair {
  const lab = buildLab(
    core,
    LabText.read(
      "pair",
      `nodes:
  a: { interfaces: { eth0: { addresses: [10.0.0.1/24] } }, sysctl: ${sysctl} }
  b: { interfaces: { eth0: { addresses: [10.0.0.2/24] } }, sysctl: ${sysctl} }
links:
  - { endpoints: ["a:eth0", "b:eth0"]${netem === "" ? "" : `, netem: "${netem}"`} }
`,
    ),
    { seed },
  );
  const tcpOf = (name: string): Tcp => {
    const ns = lab.nodes.get(name)!;
    const tcp = new Tcp(ns);
    ns.transports.tcp = tcp;
    return tcp;
  };
  return { lab, client: tcpOf("a"), server: tcpOf("b") };
}

/** The i-th byte of what is transferred. */
export function byteAt(i: number): number {
  return (i * 7 + (i >>> 8) * 13 + (i >>> 16)) & 255;
}

export interface Transfer {
  /** Bytes that came, and how many of them are wrong. */
  readonly came: number;
  readonly wrong: number;
  /** Virtual nanoseconds until the end of file. */
  readonly time: number;
  readonly retransmissions: number;
  /** Connections, records and ports left over when everything has timed out. */
  readonly left: number;
}

/** Sends `total` bytes from client to server and closes; runs until nothing is left to happen. */
export function transfer(pair: TcpPair, total: number, options: EndpointOptions = {}): Transfer {
  const { lab, client, server } = pair;
  const { clock } = lab.world;
  const payload = Uint8Array.from({ length: total }, (_, i) => byteAt(i));
  const buffer = new Uint8Array(65536);
  let came = 0;
  let wrong = 0;
  let time = -1;
  const listener = server.listen(
    0,
    80,
    16,
    {
      wake() {
        const c = listener.accept();
        if (c === null) return;
        const owner = {
          wake() {
            for (let n = c.read(buffer); n > 0; n = c.read(buffer)) {
              for (let i = 0; i < n; i++) if (buffer[i] !== payload[came + i]) wrong++;
              came += n;
            }
            if (!c.readEnded || time >= 0) return;
            time = clock.now;
            c.close();
          },
        };
        c.owner = owner;
        owner.wake();
      },
    },
    options,
  );
  let sent = 0;
  let closed = false;
  const c = client.connect(
    SERVER,
    80,
    {
      wake() {
        if (c.stateName !== "ESTABLISHED" && c.stateName !== "CLOSE-WAIT") return;
        for (let n = 1; sent < total && n > 0; sent += n) n = c.write(payload, sent);
        if (sent < total || closed) return;
        closed = true;
        c.close();
      },
    },
    {},
    options,
  ) as Connection;
  while (clock.pending > 0) clock.step();
  listener.close();
  const left = client.list().length + server.list().length + client.ports.size + server.ports.size;
  return { came, wrong, time, retransmissions: c.totalRetrans, left };
}
