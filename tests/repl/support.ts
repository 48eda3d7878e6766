// Scripts given to a shell without a process: what it prints, errors where they happen.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Shell } from "../../src/repl/shell.ts";

export const root = join(import.meta.dirname, "../..");

/** Two hosts on a wire of a millisecond; the second has a page. */
export const twoHosts = `nodes:
  h1:
    interfaces: { eth0: { addresses: [10.0.0.1/24] } }
  h2:
    interfaces: { eth0: { addresses: [10.0.0.2/24] } }
    services: [{ files: { pages: { "/": "<h1>hello</h1>" } } }]
links:
  - { endpoints: ["h1:eth0", "h2:eth0"], netem: "delay 1ms" }
`;

/** A client and a Docker host with a published port. */
export const docker = `nodes:
  pc: { interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
  dock:
    sysctl: { net.ipv4.ip_forward: 1 }
    interfaces: { eth0: { addresses: [10.0.0.2/24] } }
    services:
      - compose: |
          services:
            web: { image: traefik/whoami, ports: ["8080:80"] }
links: [{ endpoints: ["pc:eth0", "dock:eth0"] }]
`;

export const demo = readFileSync(join(root, "fixtures/demo/lab.yaml"), "utf8");

export interface Scripted {
  readonly shell: Shell;
  readonly out: string[];
  /** Files that it wrote. */
  readonly files: Map<string, string>;
  run(lines: string): string[];
}

/** A shell that remembers what it prints. */
export function shellOf(lab: string, seed?: number): Scripted {
  const out: string[] = [];
  const files = new Map<string, string>();
  const read = (p: string): string => {
    const text = files.get(p);
    if (text === undefined) throw new Error(`${p}: there is no such file`);
    return text;
  };
  const shell = new Shell("lab.yaml", lab, seed, {
    print: (l) => out.push(...l.split("\n")),
    files: { read, write: (p, text) => void files.set(p, text) },
  });
  const run = (lines: string): string[] => {
    const from = out.length;
    lines
      .trim()
      .split("\n")
      .forEach((line, i) => {
        const outcome = shell.line(line);
        if (!outcome.ok) out.push(`stdin:${i + 1}:${outcome.column}: ${outcome.message}`);
      });
    return out.slice(from);
  };
  return { shell, out, files, run };
}
