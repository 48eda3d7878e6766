// src/capture/options.ts: pcapng's options: a list of {code, length, value padded to 4 bytes}.

// npm's `buffer`, by its file: "buffer" alone is Node's own module under Node
import { Buffer } from "buffer/index.js";
import { CaptureError } from "./format.ts";

/** Options that every block can have. */
export const Option = { End: 0, Comment: 1 } as const;

/** UTF-8 without its terminating zeros, which the format does not ask for but some writers leave. */
export function decodeText(bytes: Uint8Array, from: number, to: number): string {
  let end = to;
  while (end > from && bytes[end - 1] === 0) end--;
  let text = "";
  for (let at = from; at < end; at++) {
    const c = bytes[at]!;
    // anything but ASCII goes the long way, which costs some ten times as much
    if (c > 127) {
      return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + from, end - from).toString("utf8");
    }
    text += String.fromCharCode(c);
  }
  return text;
}

/** Where the option at `at` ends, its padding included: past the block when its length is wrong. */
export function optionEnd(at: number, length: number): number {
  return at + 4 + ((length + 3) & ~3);
}

/** The option at `at` does not fit into its block, or has a length that its code rules out. */
export function badOption(what: string, offset: number, code: number, length: number, expected: string): CaptureError {
  return new CaptureError(`${what} at offset ${offset}: option ${code} has ${length} bytes, ${expected}`, offset);
}

/** The comments in a list of options that has been checked. */
export function optionComments(bytes: Uint8Array, from: number, to: number, littleEndian: boolean): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: string[] = [];
  for (let at = from; at + 4 <= to;) {
    const code = view.getUint16(at, littleEndian);
    if (code === Option.End) break;
    const length = view.getUint16(at + 2, littleEndian);
    if (code === Option.Comment) found.push(decodeText(bytes, at + 4, at + 4 + length));
    at = optionEnd(at, length);
  }
  return found;
}

/**
 * Calls `each` with every option between `from` and `to`. `sizes` gives the exact length of the codes that have one.
 * An option that does not fit, or has another length, throws the error that names it.
 */
export function walkOptions(
  view: DataView,
  from: number,
  to: number,
  littleEndian: boolean,
  what: string,
  offset: number,
  sizes: Readonly<Record<number, number>>,
  each: (code: number, at: number, length: number) => void,
): void {
  for (let at = from; at + 4 <= to;) {
    const code = view.getUint16(at, littleEndian);
    if (code === Option.End) return;
    const length = view.getUint16(at + 2, littleEndian);
    if (length > to - at - 4) throw badOption(what, offset, code, length, `${to - at - 4} left in the block`);
    const size = sizes[code];
    if (size !== undefined && size !== length) throw badOption(what, offset, code, length, `expected ${size}`);
    each(code, at + 4, length);
    at = optionEnd(at, length);
  }
}
