// src/vitest.ts: `wirepath/vitest`: a lab in a test. A test that fails leaves TESTNAME.pcapng and says which seed it had.

import { expect, onTestFailed, onTestFinished } from "vitest";
import { TestLab, testLab, type TestLabOptions } from "./node/testlab.ts";

export type { DropEvent, Frame, TestLab, TestLabOptions } from "./node/testlab.ts";

/** The test's name as a file's, at most its last two hundred characters. */
export function captureName(test: string): string {
  const words = test.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^-+|-+$/g, "");
  return `${words.slice(-200).replace(/^-+/, "") || "test"}.pcapng`;
}

/**
 * Builds a lab (a file's path, its text, or the same as an object) for the test that calls it.
 *
 *     const net = lab(`nodes: ...`);
 *     await net.run(async () => { ... });
 *
 * When the test fails, the capture goes to the directory WIREPATH_CAPTURES, or the current one.
 */
export function lab(what: string | URL | object, options?: TestLabOptions): TestLab {
  const net = testLab(what, options);
  const name = captureName(expect.getState().currentTestName ?? "");
  onTestFailed(() => {
    const path = `${process.env["WIREPATH_CAPTURES"] ?? "."}/${name}`;
    net.save(path);
    console.error(`${path}: what was on the wires\nseed ${net.seed}: WIREPATH_SEED=${net.seed} replays it`);
  });
  onTestFinished(() => net.close());
  return net;
}
