// src/cli/byte-writer.ts: text appended as bytes to one buffer that is written out in large blocks.

const zero = 48;
const hexDigits = new Uint8Array([..."0123456789abcdef"].map((c) => c.charCodeAt(0)));
const encoder = new TextEncoder();

/** The bytes of a literal, made once. */
export function literal(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text out of a capture as a terminal may see it: no control characters. */
export function printable(s: string): string {
  return s.replace(/\p{Cc}/gu, ".");
}

/** Appends; the caller takes `bytes.subarray(0, at)` and sets `at` to 0. */
export class ByteWriter {
  bytes: Uint8Array;
  at = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Makes room for `n` more bytes. Numbers, addresses and literals expect it; strings do it themselves. */
  reserve(n: number): void {
    if (this.at + n <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.at + n, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
  }

  byte(c: number): void {
    this.bytes[this.at++] = c;
  }

  literal(text: Uint8Array): void {
    const { bytes } = this;
    let { at } = this;
    for (let i = 0; i < text.length; i++) bytes[at++] = text[i]!;
    this.at = at;
  }

  /** An unsigned 32-bit number in decimal. */
  decimal(n: number): void {
    const { bytes } = this;
    if (n < 10) {
      bytes[this.at++] = zero + n;
      return;
    }
    let digits =
      n < 100
        ? 2
        : n < 1000
          ? 3
          : n < 10_000
            ? 4
            : n < 100_000
              ? 5
              : n < 1e6
                ? 6
                : n < 1e7
                  ? 7
                  : n < 1e8
                    ? 8
                    : n < 1e9
                      ? 9
                      : 10;
    let i = this.at + digits;
    this.at = i;
    for (; digits > 0; digits--) {
      const q = (n / 10) >>> 0;
      bytes[--i] = zero + n - q * 10;
      n = q;
    }
  }

  /** `width` digits with leading zeros. */
  padded(n: number, width: number): void {
    for (let i = this.at + width - 1; i >= this.at; i--) {
      const q = (n / 10) >>> 0;
      this.bytes[i] = zero + n - q * 10;
      n = q;
    }
    this.at += width;
  }

  /** Lower-case hexadecimal without leading zeros. */
  hex(n: number): void {
    let shift = 28;
    while (shift > 0 && n >>> shift === 0) shift -= 4;
    for (; shift >= 0; shift -= 4) this.bytes[this.at++] = hexDigits[(n >>> shift) & 15]!;
  }

  hex8(b: number): void {
    this.bytes[this.at++] = hexDigits[b >>> 4]!;
    this.bytes[this.at++] = hexDigits[b & 15]!;
  }

  hex16(n: number): void {
    this.hex8(n >>> 8);
    this.hex8(n & 255);
  }

  /** Bytes in hexadecimal; a separator (a character's code) between them unless it is 0. */
  hexBytes(from: Uint8Array, at: number, n: number, separator: number): void {
    this.reserve(3 * n);
    for (let i = 0; i < n; i++) {
      if (i !== 0 && separator !== 0) this.bytes[this.at++] = separator;
      this.hex8(from[at + i]!);
    }
  }

  /** An address in host order, dotted. */
  ipv4(a: number): void {
    this.decimal(a >>> 24);
    this.bytes[this.at++] = 46;
    this.decimal((a >>> 16) & 255);
    this.bytes[this.at++] = 46;
    this.decimal((a >>> 8) & 255);
    this.bytes[this.at++] = 46;
    this.decimal(a & 255);
  }

  /** A string, in UTF-8. */
  text(s: string): void {
    this.reserve(3 * s.length);
    this.at += encoder.encodeInto(s, this.bytes.subarray(this.at)).written;
  }

  /** ASCII bytes inside of a JSON string; a byte that is none becomes U+FFFD, as Wireshark shows it. */
  jsonAscii(from: Uint8Array, at: number, n: number): void {
    this.reserve(6 * n);
    for (let i = at; i < at + n; i++) {
      const c = from[i]!;
      if (c >= 0x80) {
        this.bytes[this.at++] = 0xef;
        this.bytes[this.at++] = 0xbf;
        this.bytes[this.at++] = 0xbd;
      } else if (c < 0x20 || c === 0x7f) this.jsonControl(c);
      else {
        if (c === 0x22 || c === 0x5c) this.bytes[this.at++] = 0x5c;
        this.bytes[this.at++] = c;
      }
    }
  }

  /** A string inside of a JSON string, in UTF-8. */
  jsonText(s: string): void {
    this.text(JSON.stringify(s).slice(1, -1));
  }

  private jsonControl(c: number): void {
    this.bytes[this.at++] = 0x5c;
    const short = c === 13 ? 0x72 : c === 10 ? 0x6e : c === 9 ? 0x74 : 0;
    if (short !== 0) {
      this.bytes[this.at++] = short;
      return;
    }
    this.bytes[this.at++] = 0x75;
    this.hex16(c);
  }
}
