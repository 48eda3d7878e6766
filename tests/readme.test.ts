// The README's example runs as it stands there.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import * as wirepath from "../src/index.ts";

const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");

it("prints the refused datagram's story", () => {
  const code = /```ts\nimport \{ ([^}]+) \} from "wirepath";\n([\s\S]*?)```/.exec(readme)!;
  const names = code[1]!.split(", ");
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  try {
    const values = names.map((n) => (wirepath as Record<string, unknown>)[n]);
    expect(values).not.toContain(undefined);
    new Function(...names, code[2]!)(...values);
  } finally {
    log.mockRestore();
  }
  const story = lines.join("\n");
  expect(story).toMatch(/client eth0 -> ARP who has 10\.0\.0\.1, tell 10\.0\.0\.2/);
  expect(story).toMatch(/server eth0 <- 10\.0\.0\.2:4000 > 10\.0\.0\.1:53 UDP/);
  expect(story).toMatch(/rule filter -A INPUT -p udp -m udp --dport 53 -j REJECT --reject-with icmp-admin-prohibited/);
  expect(story).toMatch(/client eth0 <- 10\.0\.0\.1 > 10\.0\.0\.2 ICMP 3\/13/);
});
