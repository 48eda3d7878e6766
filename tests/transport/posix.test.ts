// Calls on sockets, beside what a Linux 6.18 kernel answered to the same calls (fixtures/posix/calls.md).

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Drive } from "../support/drive.ts";

type Call = Record<string, any>;
type Answer = Record<string, unknown>;

const sequences = readFileSync(new URL("../../fixtures/posix/calls.ndjson", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as [Call, Answer][]);

const events =
  "POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL POLLRDNORM POLLRDBAND POLLWRNORM POLLWRBAND POLLRDHUP".split(" ");

/**
 * Up to which call a sequence is compared: from there on it hangs on how many bytes the loopback's 64 KiB segments leave
 * in a full buffer (91), or on a FIN that a socket sends as it connects to itself after shutdown (175).
 */
const until: Readonly<Record<number, number>> = { 91: 28, 175: 27 };

/** What we answer, in the recording's words. */
function replay(sequence: readonly [Call, Answer][]): Answer[] {
  const d = new Drive();
  const fds: number[] = [];
  let now = 0;
  return sequence.map(([call]) => {
    const { fn, s, ...rest } = call;
    const fd = s === undefined ? -1 : (fds[s] ?? -1);
    let reply: Answer;
    if (fn === "poll") reply = d.call("poll", { fds: [{ fd: fd < 0 ? 999 : fd, events }], timeout_ms: 0 });
    else {
      const flags = rest["flags"] === undefined ? {} : { flags: [...rest["flags"], "MSG_DONTWAIT"] };
      reply = d.call(fn, { ...rest, ...flags, fd });
    }
    if (fn === "socket" || fn === "accept") {
      const got = reply["ret"] as number;
      fds.push(got);
      if (got >= 0) {
        d.call("fcntl", { fd: got, cmd: "F_SETFL", flags: ["O_NONBLOCK"] });
        reply["ret"] = 0;
      }
    }
    if (fn === "close" && s < fds.length) fds[s] = -1;
    now += 0.002;
    d.advance(now);
    const answer: Answer = {};
    for (const key of ["ret", "errno", "value", "revents", "pending"]) if (key in reply) answer[key] = reply[key];
    return answer;
  });
}

describe("a kernel's answers", () => {
  test.each(sequences.map((sequence, i) => [i, sequence] as const))("sequence %i", (i, sequence) => {
    replay(sequence.slice(0, until[i])).forEach((answer, at) => {
      const [call, kernel] = sequence[at]!;
      expect(answer, `${at}: ${JSON.stringify(call)}`).toEqual(kernel);
    });
  });
});
