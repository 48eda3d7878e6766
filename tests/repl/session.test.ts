// A position is a state: going away from it and back restores every byte.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digest } from "../../src/repl/digest.ts";
import { demo, shellOf, twoHosts } from "./support.ts";

/** What changes the world, and what only looks at it. */
const changing = [
  "h1 ping h2 -c 2 &",
  "h1 ping 10.0.0.2 -c 1",
  "h2 iptables -A INPUT -p icmp -j DROP",
  "h1 ip neigh flush dev eth0",
  "h1 tc qdisc replace dev eth0 root netem delay 3ms loss 20%",
  "h1 curl http://10.0.0.2/ &",
  "link h1 h2 down",
  "link h1 h2 up",
  "send h1 eth0 eth / ip dst 10.0.0.2 / udp dport 9",
  "run 10ms",
  "step 3",
];
const looking = [
  "h1 conntrack -L",
  "h1 ip route get 10.0.0.2",
  "h2 ss -tan",
  "why",
  "h1 iptables-save",
  "h1 tcpdump",
  "digest",
];

describe("forward and back", () => {
  it("step N, back N restores every byte of state, wherever one stands", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...changing, ...looking), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 1000 }),
        (lines, n, seed) => {
          const { shell, run } = shellOf(twoHosts, seed);
          run(lines.join("\n"));
          const before = shell.session.events;
          const at = digest(shell.session.run);
          shell.line(`step ${n}`);
          const moved = shell.session.events - before;
          expect(moved).toBeLessThanOrEqual(n);
          if (moved === 0) return;
          shell.line(`back ${moved}`);
          expect(shell.session.events).toBe(before);
          expect(digest(shell.session.run)).toBe(at);
        },
      ),
      { numRuns: 30 },
    );
  }, 60_000);

  it("back N, step N as well; the states on the way differ", () => {
    const { shell, run } = shellOf(demo);
    run(
      "detail line\ninject router eth0 eth / ip src 203.0.113.10 dst 198.51.100.20 / tcp dport 8080 flags S\nstep 40",
    );
    const seen = new Map<number, string>();
    for (const n of [0, 1, 7, 12, 39]) {
      const { events } = shell.session;
      const at = digest(shell.session.run);
      if (n > 0) run(`back ${n}\nstep ${n}`);
      expect([shell.session.events, digest(shell.session.run)]).toEqual([events, at]);
      run(`back ${n}`);
      seen.set(shell.session.events, digest(shell.session.run));
      run(n === 0 ? "time" : `step ${n}`);
    }
    expect(new Set(seen.values()).size).toBe(5);
  });

  it("run goes to the end, and its state is that of single steps", () => {
    const a = shellOf(twoHosts);
    a.run("h1 ping h2 -c 1 &\nrun");
    const last = a.shell.session.events;
    expect(a.out).toContain("1 packets transmitted, 1 received, 0% packet loss, time 4ms");
    expect(last).toBeGreaterThan(20);
    const b = shellOf(twoHosts);
    b.run(`h1 ping h2 -c 1 &\n${"step\n".repeat(last)}`);
    expect(b.shell.session.events).toBe(last);
    a.run("back 1");
    b.run("back 1");
    expect(digest(b.shell.session.run)).toBe(digest(a.shell.session.run));
  });

  it("what was given behind a position is forgotten when something else is given there", () => {
    const { shell, run } = shellOf(twoHosts);
    run("h1 ip route add 10.8.0.0/16 via 10.0.0.2\nh1 ping h2 -c 1");
    run("h1 ip route add 10.9.0.0/16 via 10.0.0.2\nback 10");
    expect(shell.session.inputs.length).toBe(3);
    run("link h1 h2 down");
    expect(shell.session.inputs.map((i) => i.line)).toEqual([
      "h1 ip route add 10.8.0.0/16 via 10.0.0.2",
      "h1 ping h2 -c 1",
      "link h1 h2 down",
    ]);
    expect(run("h1 ip route").join()).not.toContain("10.9.0.0");
  });

  it("another seed is another world; the same one the same", () => {
    const at = (seed: number): string => {
      const { shell, run } = shellOf(twoHosts, seed);
      run("h1 ping h2 -c 1");
      return digest(shell.session.run);
    };
    expect(at(5)).toBe(at(5));
    expect(at(5)).not.toBe(at(6));
  });

  it("save, load and fork keep all of it", () => {
    const one = shellOf(twoHosts);
    one.run("h1 ping h2 -c 2 &\nrun 13\nsave a.json");
    const at = digest(one.shell.session.run);
    one.run("fork other\nlink h1 h2 down\nrun");
    expect(digest(one.shell.session.run)).not.toBe(at);
    one.run("switch main");
    expect(digest(one.shell.session.run)).toBe(at);
    const two = shellOf(demo);
    two.files.set("a.json", one.files.get("a.json")!);
    two.run("load a.json");
    expect(digest(two.shell.session.run)).toBe(at);
    for (const bad of [
      "",
      "{}",
      "[]",
      "null",
      '{"wirepath":"session"}',
      one.files.get("a.json")!.replace("h2", "h9"),
    ]) {
      two.files.set("bad.json", bad);
      expect(two.run("load bad.json")[0]).toMatch(/^stdin:1:6: bad\.json: /);
    }
    expect(digest(two.shell.session.run)).toBe(at);
  });

  it("a line that fails leaves no trace", () => {
    const { shell, run } = shellOf(twoHosts);
    run("h1 ping h2 -c 1");
    const at = digest(shell.session.run);
    expect(run("h1 ip route add 10.9.0.0/16 via 99.0.0.1")[0]).toMatch(/^stdin:1:/);
    expect(shell.session.inputs.length).toBe(1);
    expect(digest(shell.session.run)).toBe(at);
  });
});
