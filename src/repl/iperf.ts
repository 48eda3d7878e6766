// src/repl/iperf.ts: Mininet's `iperf`: how much TCP carries from one node to another in a while of virtual time.

import { formatIpv4 } from "../core/address.ts";
import type { Namespace } from "../host/namespace.ts";
import { SECOND } from "../link/clock.ts";
import { programHost } from "../service/program.ts";
import { type Endpoint, type Listener, Wake } from "../transport/tcp/endpoint.ts";
import { SocketError } from "../transport/errno.ts";

const PORT = 5001;
const CHUNK = 131072;
/** What a path without any delay carries is without end: so much is enough to say so. */
const MOST = 16 * 1024 * 1024;

export class Iperf {
  private listener: Listener | null = null;
  private sender: Endpoint | null = null;
  private receiver: Endpoint | null = null;
  private received = 0;
  private written = 0;
  private started = -1;
  private ended = false;

  constructor(
    private readonly client: Namespace,
    private readonly server: Namespace,
    to: number,
    private readonly time: number,
    private readonly print: (text: string) => void,
    private readonly done: () => void,
  ) {
    try {
      const { clock } = client.world;
      this.listener = programHost(server).tcp.listen(0, PORT, 1, { wake: () => this.accept() }, { reuseAddress: true });
      this.sender = programHost(client).tcp.connect(to, PORT, { wake: (what) => this.write(what) });
      clock.after(time + 10 * SECOND, () => this.end("no end in time"));
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      this.end(`${formatIpv4(to)}: ${e.code}`);
    }
  }

  private accept(): void {
    this.receiver = this.listener?.accept() ?? null;
    if (this.receiver !== null) this.receiver.owner = { wake: () => this.read() };
    this.read();
  }

  private read(): void {
    const r = this.receiver;
    if (r === null) return;
    const n = r.readable;
    if (n > 0) {
      r.discard(n);
      this.received += n;
    }
    if (r.readEnded && r.readable === 0) this.end(null);
  }

  private write(what: number): void {
    const s = this.sender;
    if (s === null || this.ended) return;
    if ((what & Wake.Error) !== 0) return this.end(`connect: ${s.takeError() ?? "error"}`);
    const { clock } = this.client.world;
    if (this.started < 0) this.started = clock.now;
    try {
      // until there is no room: it is told only then when there is some again
      let n = CHUNK;
      while (n > 0 && clock.now - this.started < this.time && this.written < MOST) {
        n = s.writeZeros(CHUNK);
        this.written += n;
      }
      if (clock.now - this.started >= this.time || this.written >= MOST) s.shutdownWrite();
    } catch (e) {
      if (!(e instanceof SocketError)) throw e;
      this.end(e.code);
    }
  }

  private end(error: string | null): void {
    if (this.ended) return;
    this.ended = true;
    this.listener?.close();
    this.sender?.close();
    this.receiver?.close();
    const { client, server } = this;
    if (error !== null) this.print(`iperf ${client.name} -> ${server.name}: ${error}`);
    else {
      const took = client.world.clock.now - this.started;
      const rate =
        took === 0
          ? "no time at all: the path has no delay and no limit"
          : `${((this.received * 8e3) / took).toFixed(2)} Mbit/s`;
      this.print(
        `iperf ${client.name} -> ${server.name}: ${this.received} bytes in ${(took / 1e9).toFixed(3)} s: ${rate}`,
      );
    }
    this.done();
  }
}
