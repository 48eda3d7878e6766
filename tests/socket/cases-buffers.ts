// tests/socket/cases-buffers.ts: bytes: many, in order, with room and without.

import { type Case, expect, once } from "./conformance.ts";

/** Bytes that tell where they stand. */
function pattern(n: number): Buffer {
  const bytes = Buffer.allocUnsafe(n);
  for (let i = 0; i < n; i++) bytes[i] = (i * 31 + (i >>> 8)) & 255;
  return bytes;
}

export const buffers: readonly Case[] = [
  [
    "four megabytes arrive as they were sent",
    async (b) => {
      const { client, peer } = await b.pair();
      const sent = pattern(4 << 20);
      client.end(sent);
      const parts: Buffer[] = [];
      for await (const d of peer) parts.push(d as Buffer);
      expect(Buffer.concat(parts).equals(sent)).toBe(true);
      expect(peer.bytesRead).toBe(sent.length);
      expect(client.bytesWritten).toBe(sent.length);
    },
  ],
  [
    "echoed through a pipe",
    async (b) => {
      const { client, peer } = await b.pair({ allowHalfOpen: true }, { allowHalfOpen: true });
      peer.pipe(peer);
      const sent = pattern(1 << 20);
      client.end(sent);
      const parts: Buffer[] = [];
      for await (const d of client) parts.push(d as Buffer);
      expect(Buffer.concat(parts).equals(sent)).toBe(true);
    },
  ],
  [
    "write answers false when full, and 'drain' comes when it is not",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.pause();
      let writes = 0;
      const chunk = pattern(65536);
      for (client.write(chunk); client.writableLength === 0; client.write(chunk)) {
        if (++writes > 10_000) throw new Error("never full");
      }
      expect(client.writableNeedDrain).toBe(true);
      expect(client.writableLength).toBeGreaterThan(0);
      let drained = false;
      client.once("drain", () => (drained = true));
      // what the system's buffers take may drain it: fill until nothing moves
      for (let quiet = 0; quiet < 5;) {
        await b.a.sleep(20);
        quiet = drained ? 0 : quiet + 1;
        if (drained) {
          drained = false;
          while (client.write(chunk)) writes++;
          client.once("drain", () => (drained = true));
        }
      }
      expect(drained).toBe(false);
      peer.resume();
      await once(client, "drain");
      expect(client.writableNeedDrain).toBe(false);
    },
  ],
  [
    "backpressure reaches the sender: a peer that does not read stops it",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.pause();
      let done = 0;
      const chunk = pattern(1 << 20);
      const total = 40;
      for (let i = 0; i < total; i++) client.write(chunk, () => done++);
      await b.a.sleep(300);
      const stuck = done;
      expect(stuck).toBeLessThan(total);
      let got = 0;
      peer.on("data", (d) => (got += d.length));
      peer.resume();
      client.end();
      await once(peer, "end");
      expect(got).toBe(total << 20);
      expect(done).toBe(total);
    },
  ],
  [
    "callbacks of writes come in order, behind what was written",
    async (b) => {
      const { client, peer } = await b.pair();
      peer.resume();
      const order: number[] = [];
      for (let i = 0; i < 10; i++) client.write(`${i}`, () => order.push(i));
      expect(order).toEqual([]);
      await once(client.end(), "close");
      expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    },
  ],
  [
    "a write before the connection stands is kept",
    async (b) => {
      const server = b.server((s) => s.pipe(s));
      const client = b.connect(await b.listen(server));
      let flushed = 0;
      expect(client.write("early", () => flushed++)).toBe(true);
      expect(client.bytesWritten).toBe(5);
      client.write("bird", () => flushed++);
      expect(client.bytesWritten).toBe(9);
      client.setEncoding("utf8");
      let text = "";
      client.on("data", (t) => (text += t));
      await b.a.sleep(50);
      expect([text, flushed, client.bytesWritten, client.bytesRead]).toEqual(["earlybird", 2, 9, 9]);
    },
  ],
  [
    "cork holds writes together",
    async (b) => {
      const { client, peer } = await b.pair();
      const sizes: number[] = [];
      peer.on("data", (d) => sizes.push(d.length));
      client.cork();
      for (let i = 0; i < 8; i++) client.write("abcd");
      await b.a.sleep(20);
      expect(sizes).toEqual([]);
      client.uncork();
      await b.a.sleep(50);
      expect(sizes).toEqual([32]);
    },
  ],
  [
    "strings in several encodings",
    async (b) => {
      const { client, peer } = await b.pair();
      client.write("añb", "latin1");
      client.write("00ff", "hex");
      client.write("QUJD", "base64");
      client.write("é", "utf8");
      client.end("hi", "utf16le");
      const parts: Buffer[] = [];
      for await (const d of peer) parts.push(d as Buffer);
      expect(Buffer.concat(parts).toString("hex")).toBe("61f16200ff414243c3a968006900");
      expect(client.bytesWritten).toBe(14);
    },
  ],
  [
    "setEncoding puts characters together that were cut",
    async (b) => {
      const { client, peer } = await b.pair({ noDelay: true });
      peer.setEncoding("utf8");
      let text = "";
      peer.on("data", (t) => (text += t));
      const bytes = Buffer.from("€uro and naïve");
      for (const byte of bytes) {
        client.write(Buffer.of(byte));
        await b.a.sleep(2);
      }
      await once(client.end(), "close");
      expect(text).toBe("€uro and naïve");
    },
  ],
  [
    "read takes as much as asked",
    async (b) => {
      const { client, peer } = await b.pair();
      client.write("0123456789");
      await once(peer, "readable");
      expect(String(peer.read(4))).toBe("0123");
      expect(String(peer.read(4))).toBe("4567");
      expect(peer.read(4)).toBe(null);
      expect(String(peer.read())).toBe("89");
      client.end();
      await once(peer, "readable");
      expect(peer.read()).toBe(null);
    },
  ],
  [
    "pause and resume lose nothing",
    async (b) => {
      const { client, peer } = await b.pair();
      const sent = pattern(300_000);
      client.end(sent);
      const parts: Buffer[] = [];
      peer.on("data", (d) => {
        parts.push(d);
        peer.pause();
        void b.a.sleep(1).then(() => peer.resume());
      });
      await once(peer, "end");
      expect(Buffer.concat(parts).equals(sent)).toBe(true);
    },
  ],
  [
    "an empty write calls back",
    async (b) => {
      const { client } = await b.pair();
      let called = 0;
      client.write("", () => called++);
      client.write(Buffer.alloc(0), () => called++);
      await b.a.sleep(10);
      expect([called, client.bytesWritten]).toEqual([2, 0]);
    },
  ],
  [
    "unshift gives bytes back",
    async (b) => {
      const { client, peer } = await b.pair();
      client.end("headbody");
      await once(peer, "readable");
      const all = peer.read() as Buffer;
      peer.unshift(all.subarray(4));
      let text = "";
      for await (const d of peer) text += String(d);
      expect(text).toBe("body");
    },
  ],
  [
    "onread fills the program's own buffer",
    async (b) => {
      const server = b.server((s) => s.end("0123456789"));
      const port = await b.listen(server);
      let text = "";
      const client = b.connect(port, {
        onread: {
          buffer: Buffer.alloc(4),
          callback: (n: number, buffer: Buffer) => {
            text += buffer.toString("latin1", 0, n);
            return true;
          },
        },
      });
      await once(client, "close");
      expect(text).toBe("0123456789");
    },
  ],
];
