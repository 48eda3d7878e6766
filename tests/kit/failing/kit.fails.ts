import { describe, expect, it } from "vitest";
import { lab } from "../../../src/vitest.ts";

const two = `
nodes:
  a: { interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
  b: { interfaces: { eth0: { addresses: [10.0.0.2/24] } } }
links:
  - { endpoints: ["a:eth0", "b:eth0"], netem: "delay 1ms loss 20%" }
`;

describe("a lossy wire", () => {
  it("never loses: this/fails", async () => {
    const net = lab(two, { seed: "random" });
    net.keyLog(Buffer.from("CLIENT_RANDOM 00 11\n"));
    await net.run(async () => {
      const server = net.host("b").net.createServer((s: NodeJS.ReadWriteStream) => s.pipe(s));
      server.listen(7);
      const socket = net.host("a").net.connect(7, "b");
      for (let i = 0; i < 100; i++) socket.write("x".repeat(1000));
      socket.end();
      await new Promise((done) => socket.resume().on("close", done));
    });
    console.log(`drops ${net.drops.map((d) => `${d.time} ${d.node}`).join()}`);
    expect(net.drops).toEqual([]);
  });
});
