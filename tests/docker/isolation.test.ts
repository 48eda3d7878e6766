// Random networks and containers: who reaches whom over emulated packets is what Docker's documentation says.

import fc from "fast-check";
import { expect, it } from "vitest";
import type { Container } from "../../src/docker/container.ts";
import { parsePublish } from "../../src/docker/ports.ts";
import { coreOf } from "../support/cores.ts";
import { greet, hear, HOST, place } from "./support.ts";

interface NetworkPlan {
  readonly internal: boolean;
  readonly icc: boolean;
}

interface ContainerPlan {
  /** A bit a network; none: the engine's default network. */
  readonly networks: number;
  readonly published: boolean;
}

interface Plan {
  readonly userlandProxy: boolean;
  readonly networks: readonly NetworkPlan[];
  readonly containers: readonly ContainerPlan[];
}

const plans: fc.Arbitrary<Plan> = fc.record({
  userlandProxy: fc.boolean(),
  networks: fc.array(fc.record({ internal: fc.boolean(), icc: fc.boolean() }), { minLength: 1, maxLength: 3 }),
  containers: fc.array(fc.record({ networks: fc.nat(7), published: fc.boolean() }), { minLength: 2, maxLength: 4 }),
});

const DEFAULT: NetworkPlan = { internal: false, icc: true };

/** What the documentation says, in its own terms: no rule, no packet. */
class Documented {
  constructor(private readonly plan: Plan) {}

  /** Numbers of the container's networks; -1 is the default one. */
  networksOf(c: number): number[] {
    const mine = this.plan.networks
      .map((_, i) => i)
      .filter((i) => (this.plan.containers[c]!.networks & (1 << i)) !== 0);
    return mine.length === 0 ? [-1] : mine;
  }

  network(n: number): NetworkPlan {
    return n < 0 ? DEFAULT : this.plan.networks[n]!;
  }

  /** "The gateway is the first network in lexical order that has external connectivity." null: none has. */
  gateway(c: number): number | null {
    return this.networksOf(c).find((n) => !this.network(n).internal) ?? null;
  }

  /** By the container's own address: its neighbours on that network, unless they are parted. */
  direct(from: number, n: number): boolean {
    return this.networksOf(from).includes(n) && this.network(n).icc;
  }

  isPublished(c: number): boolean {
    return this.plan.containers[c]!.published && this.gateway(c) !== null;
  }

  /** By a port of the host: all that get out to the host; without a proxy, a neighbour's packets turn round at the bridge. */
  published(from: number, to: number): boolean {
    const way = this.gateway(from);
    if (way === null) return false;
    return way !== this.gateway(to) || this.plan.userlandProxy || this.network(way).icc;
  }
}

it("who reaches whom is what Docker documents", () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const says = new Documented(plan);
      const { engine, host, client } = place(coreOf("release"), { userlandProxy: plan.userlandProxy });
      plan.networks.forEach((n, i) => engine.createNetwork(`n${i}`, n));
      const name = (n: number): string => (n < 0 ? "bridge" : `n${n}`);
      const containers: Container[] = plan.containers.map((c, i) => {
        const networks = Object.fromEntries(says.networksOf(i).map((n) => [name(n), {}]));
        const publish = c.published ? parsePublish(`${8000 + i}:80`) : [];
        const made = engine.run(`c${i}`, { networks, publish });
        greet(made.ns!, 80, `c${i}`);
        return made;
      });
      const wrong: string[] = [];
      const check = (what: string, expected: boolean, heard: string, greeting: string): void => {
        if ((heard === greeting) !== expected) wrong.push(`${what}: ${heard}, documented: ${expected ? "yes" : "no"}`);
      };
      containers.forEach((to, t) => {
        for (const n of says.networksOf(t)) {
          const { address } = to.endpoints.get(name(n))!;
          const what = `c${t} on ${name(n)}`;
          check(`host to ${what}`, true, hear(host, address, 80), `c${t}`);
          check(`client to ${what}`, false, hear(client, address, 80), `c${t}`);
          containers.forEach((from, f) => {
            if (f !== t) check(`c${f} to ${what}`, says.direct(f, n), hear(from.ns!, address, 80), `c${t}`);
          });
        }
        const port = 8000 + t;
        const open = says.isPublished(t);
        check(`client to port ${port}`, open, hear(client, HOST, port), `c${t}`);
        check(`host to port ${port}`, open, hear(host, HOST, port), `c${t}`);
        check(`host to its own port ${port}`, open, hear(host, "127.0.0.1", port), `c${t}`);
        containers.forEach((from, f) => {
          check(`c${f} to port ${port}`, open && says.published(f, t), hear(from.ns!, HOST, port), `c${t}`);
        });
      });
      expect(wrong).toEqual([]);
    }),
    { numRuns: 60, seed: 17 },
  );
}, 60_000);
