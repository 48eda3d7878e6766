// tests/support/decode.ts: a capture through the decoder inside this process.

import { readFileSync } from "node:fs";
import { CaptureReader } from "../../src/capture/reader.ts";
import { ByteWriter } from "../../src/cli/byte-writer.ts";
import { JsonLines } from "../../src/cli/decode-json.ts";
import { TextLines } from "../../src/cli/decode-text.ts";
import type { Core } from "../../src/core/core.ts";
import { Dissection } from "../../src/core/dissect.ts";

/** The lines of `wirepath decode`, as JSON or as text with times left out; of `--streams` those that there are. */
export function decodeLines(core: Core, capture: Uint8Array, form: "json" | "streams" | "text"): string[] {
  const reader = new CaptureReader();
  const d = new Dissection(core);
  const out = new ByteWriter(1024);
  const json = new JsonLines(d, out);
  const text = new TextLines(d, out, { time: "none", hex: "none", ascii: false });
  const at = core.x.alloc(262144) >>> 0;
  const lines: string[] = [];
  reader.push(capture);
  while (reader.next()) {
    // bytes behind the frame must not matter
    core.u8.fill(0xa5, at, at + Math.min(262144, reader.capturedLength + 256));
    core.u8.set(reader.data(), at);
    d.dissect(at, reader.capturedLength, reader.originalLength, reader.linkType);
    if (form === "json") json.frame(reader.number);
    else if (form === "streams") json.completed(reader.number);
    else text.frame(reader.seconds, reader.nanoseconds, reader.linkType, null);
    if (out.at > 0) lines.push(new TextDecoder().decode(out.bytes.subarray(0, out.at)).trimEnd());
    out.at = 0;
  }
  reader.end();
  core.x.release(at, 262144);
  return lines;
}

export function fixture(name: string): Uint8Array {
  return readFileSync(new URL(`../../fixtures/${name}`, import.meta.url));
}
