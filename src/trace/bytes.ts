// src/trace/bytes.ts: bytes for a person: a dump, and what differs between two.

/** `0000  45 00 00 3c ...  E..<`: sixteen a line. */
export function hexDump(bytes: Uint8Array): string[] {
  const out: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const text = Array.from(row, (b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("");
    out.push(`${at.toString(16).padStart(4, "0")}  ${hex(row).padEnd(47)}  ${text}`);
  }
  return out;
}

/** Runs of bytes that differ: `0016: 40 -> 3f`; of another length, the new bytes as a whole. */
export function byteChanges(before: Uint8Array, after: Uint8Array): string[] {
  if (before.length !== after.length) return hexDump(after);
  const out: string[] = [];
  for (let i = 0; i < after.length; i++) {
    if (before[i] === after[i]) continue;
    const from = i;
    while (i < after.length && before[i] !== after[i]) i++;
    const at = from.toString(16).padStart(4, "0");
    out.push(`${at}: ${hex(before.subarray(from, i))} -> ${hex(after.subarray(from, i))}`);
  }
  return out;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");
}
