// Conversations that a real kernel had with a peer bound by no RFC (fixtures/tcp-kernel): the same calls, the same packets from
// the peer at the same times; our TCP must answer with the same segments at the same times, and calls must return the same.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { overBuilds } from "../support/cores.ts";
import { compare, readConversation, replay, story, wheelTime } from "../support/kernel/conversation.ts";

const dir = join(import.meta.dirname, "../../fixtures/tcp-kernel");

overBuilds("random conversations with a real kernel", (newCore) => {
  for (const file of readdirSync(dir).filter((f) => f.endsWith(".ndjson"))) {
    const talk = readConversation(file, readFileSync(join(dir, file), "utf8"));
    it(`seed ${file.replace(".ndjson", "")}: ${talk.what}`, () => {
      const got = replay(newCore(), talk);
      const found = compare(talk, got);
      if (found !== null) throw new Error(`${JSON.stringify(found, null, 1)}\n${story(talk, got, found.t)}`);
      expect(got.calls).toEqual([]);
      expect(got.sent.length).toBe(talk.events.filter((e) => e.kind === "out").length);
    });
  }
});

describe("timers of Linux's wheel at HZ=250", () => {
  it("fire a jiffy late at most while near, and by slots of eight behind 252 ms", () => {
    expect(wheelTime(1_000_000, 41_000_000, 0)).toBe(44_000_000);
    expect(wheelTime(4_000_000, 204_000_000, 0)).toBe(208_000_000);
    expect(wheelTime(0, 424_000_000, 0)).toBe(448_000_000);
    expect(wheelTime(0, 424_000_000, 5)).toBe(428_000_000);
  });
});
