// src/service/dns/name.ts: domain names as text: canonical, compared, taken apart (RFC 1034 §3.1, RFC 4343).
//
// A name is in presentation format without its last dot, the root is `.`: as the codec gives it (src/core/dns.ts). A key is
// the same in lower case: equal names have equal keys.

/** Bytes that a name, and a label, may have on the wire (RFC 1035 §3.1). */
const NAME_MAX = 255;
const LABEL_MAX = 63;

const encoder = new TextEncoder();

/** What is no name; `at` is the offset of what is wrong in the text. */
export class NameError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

/** The name's key: letters are compared without their case, ASCII's alone (RFC 4343 §3). */
export function keyOf(name: string): string {
  return name.toLowerCase();
}

/** A byte of a label as the codec writes it. */
function byteText(c: number): string {
  if (c <= 0x20 || c >= 0x7f) return `\\${String(c).padStart(3, "0")}`;
  const s = String.fromCharCode(c);
  return '"$().;@\\'.includes(s) ? `\\${s}` : s;
}

export function labelText(bytes: Uint8Array): string {
  let s = "";
  for (const c of bytes) s += byteText(c);
  return s;
}

/**
 * Reads a name as people and master files write it (RFC 1035 §5.1) and answers its canonical form. A name without a last
 * dot is relative: `origin` follows it. Throws `NameError`.
 */
export function parseName(text: string, origin = "."): string {
  if (text === ".") return ".";
  if (text === "") throw new NameError("an empty name, expected labels between dots", 0);
  const labels: string[] = [];
  let label = "";
  let length = 0;
  let total = 1;
  const end = (at: number): void => {
    if (length === 0) throw new NameError(`'${text}' has an empty label, expected 1 to 63 bytes`, at);
    if (length > LABEL_MAX) {
      throw new NameError(`'${text}' has a label of ${length} bytes, expected 1 to 63`, at - label.length);
    }
    labels.push(label);
    total += 1 + length;
    label = "";
    length = 0;
  };
  let absolute = false;
  for (let i = 0; i < text.length; i++) {
    let c = text.charCodeAt(i);
    if (c === 0x2e) {
      end(i);
      absolute = i === text.length - 1;
      continue;
    }
    if (c > 0x7f) {
      const letter = String.fromCodePoint(text.codePointAt(i)!);
      throw new NameError(`'${text}' has the letter '${letter}', expected ASCII (its xn-- form)`, i);
    }
    if (c === 0x5c) {
      const m = /^\\(?:(\d{3})|(\D))/.exec(text.slice(i));
      if (m === null || Number(m[1] ?? 0) > 255) {
        throw new NameError(`'${text}' has a bad escape, expected \\X or \\DDD up to \\255`, i);
      }
      c = m[1] !== undefined ? Number(m[1]) : m[2]!.charCodeAt(0);
      i += m[0].length - 1;
    }
    label += byteText(c);
    length++;
  }
  if (!absolute) end(text.length);
  if (!absolute && origin !== ".") {
    labels.push(origin);
    total += wireLength(origin) - 1;
  }
  if (total > NAME_MAX) throw new NameError(`'${text}' has ${total} bytes on the wire, expected at most 255`, 0);
  return labels.join(".");
}

/** Bytes of a canonical name on the wire, uncompressed. */
export function wireLength(name: string): number {
  return name === "." ? 1 : name.replace(/\\(\d{3}|.)/g, "x").length + 2;
}

/** The name on the wire, uncompressed. */
export function wireName(name: string): Uint8Array {
  const out: number[] = [];
  for (const label of labelsOf(name)) {
    const bytes = labelBytes(label);
    out.push(bytes.length, ...bytes);
  }
  return Uint8Array.of(...out, 0);
}

function labelBytes(label: string): Uint8Array {
  if (!label.includes("\\")) return encoder.encode(label);
  const plain = label.replace(/\\(\d{3}|.)/g, (_, e: string) =>
    String.fromCharCode(e.length === 3 ? Number(e) : e.charCodeAt(0)),
  );
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
}

/** The labels, leftmost first; the root has none. */
export function labelsOf(name: string): string[] {
  return name === "." ? [] : (name.match(/(?:\\.|[^.\\])+/g) ?? []);
}

/** The name without its first label; `.` above a top-level name and above the root itself. */
export function parentOf(name: string): string {
  for (let i = 0; i < name.length - 1; i++) {
    if (name[i] === "\\") i++;
    else if (name[i] === ".") return name.slice(i + 1);
  }
  return ".";
}

/** `label` below `parent`. */
export function childOf(label: string, parent: string): string {
  return parent === "." ? label : `${label}.${parent}`;
}

/** Whether the key is `zone` or a name below it. */
export function isWithin(key: string, zone: string): boolean {
  if (zone === "." || key === zone) return true;
  if (!key.endsWith(zone)) return false;
  let at = key.length - zone.length - 1;
  if (at < 1 || key[at] !== ".") return false;
  // the dot is a label's own when an odd number of backslashes stands before it
  let odd = false;
  while (--at >= 0 && key[at] === "\\") odd = !odd;
  return !odd;
}

/** The key and the names above it, up to `top` (a name at or above it), longest first. */
export function* ancestorsOf(key: string, top = "."): Generator<string> {
  for (let at = key; ; at = parentOf(at)) {
    yield at;
    if (at === top || at === ".") return;
  }
}
