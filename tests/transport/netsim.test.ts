// tests/transport/netsim.test.ts: a megabyte over every pair of buffer size and loss rate, as smoltcp's netsim does it; and
// over links that reorder, duplicate and corrupt. The table of throughputs is kept in fixtures/netsim/table.txt: it changes
// on purpose only (`npx vitest run tests/transport/netsim.test.ts -u`).

import { describe, expect, test } from "vitest";
import { coreOf } from "../support/cores.ts";
import { tcpPair, transfer } from "../support/tcppair.ts";

const MEGABYTE = 1_000_000;
const buffers = [128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768];
const losses = [0, 0.1, 1, 2, 5, 10, 20, 30];
/** smoltcp has no user timeout: neither has this. */
const patient = "{ net.ipv4.tcp_retries2: 200, net.ipv4.tcp_syn_retries: 100, net.ipv4.tcp_synack_retries: 100 }";

function rate(netem: string, buffer: number): string {
  const pair = tcpPair(coreOf("release"), netem, 1, patient);
  const t = transfer(pair, MEGABYTE, { receiveBuffer: buffer, sendBuffer: buffer });
  expect({ netem, buffer, came: t.came, wrong: t.wrong, left: t.left }).toEqual({
    netem,
    buffer,
    came: MEGABYTE,
    wrong: 0,
    left: 0,
  });
  return ((MEGABYTE * 8) / (t.time / 1e3)).toPrecision(3);
}

describe("netsim", () => {
  test(
    "every byte arrives, whatever buffer and loss; the throughputs are those of the table",
    { timeout: 300_000 },
    async () => {
      const rows = buffers.map((b) => {
        const cells = losses.map((loss) => rate(`delay 10ms${loss === 0 ? "" : ` loss ${loss}%`}`, b).padStart(9));
        return `${String(b).padStart(6)} ${cells.join("")}`;
      });
      const head = `buffer ${losses.map((l) => `${l}%`.padStart(9)).join("")}`;
      await expect(`${[head, ...rows].join("\n")}\n`).toMatchFileSnapshot("../../fixtures/netsim/table.txt");
    },
  );

  test.each([
    "delay 10ms reorder 25% 50%",
    "delay 10ms 8ms distribution normal",
    "delay 10ms duplicate 20%",
    "delay 10ms corrupt 2%",
    "delay 10ms 5ms loss 3% duplicate 5% corrupt 1%",
    "delay 10ms loss gemodel 2% 30%",
    "delay 20ms rate 10mbit limit 20",
  ])("every byte arrives over %s", { timeout: 60_000 }, (netem) => {
    for (const buffer of [1024, 8192, 65536, 1 << 20]) rate(netem, buffer);
  });
});
