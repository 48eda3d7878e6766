// src/cli/drive-json.ts: requests as they were read, and what is wrong with them.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A request that cannot be carried out: `{"error": message}`. */
export class Fault extends Error {}

export function isObject(v: Json | undefined): v is Record<string, Json> {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}

/** Members of a request, read as the protocol says; what is missing or of another kind is a `Fault`. */
export class Members {
  constructor(readonly o: Record<string, Json>) {}

  has(name: string): boolean {
    return this.o[name] !== undefined && this.o[name] !== null;
  }

  text(name: string): string {
    const v = this.o[name];
    if (typeof v !== "string") throw new Fault(`'${name}': expected text`);
    return v;
  }

  integer(name: string, least: number, most: number, fallback?: number): number {
    const v = this.o[name];
    if (v === undefined && fallback !== undefined) return fallback;
    if (typeof v !== "number" || !Number.isInteger(v) || v < least || v > most) {
      throw new Fault(`'${name}': expected an integer from ${least} to ${most}`);
    }
    return v;
  }

  boolean(name: string, fallback: boolean): boolean {
    const v = this.o[name];
    if (v === undefined) return fallback;
    if (typeof v !== "boolean") throw new Fault(`'${name}': expected true or false`);
    return v;
  }

  list(name: string): Json[] {
    const v = this.o[name];
    if (!Array.isArray(v)) throw new Fault(`'${name}': expected a list`);
    return v;
  }

  /** Names such as MSG_DONTWAIT; none when it is left out. A lone name counts as a list of one. */
  names(name: string): string[] {
    const v = this.o[name];
    if (v === undefined || v === null || v === 0) return [];
    if (typeof v === "string") return v.split("|").map((s) => s.trim());
    const list = this.list(name);
    for (const s of list) if (typeof s !== "string") throw new Fault(`'${name}': expected names`);
    return list as string[];
  }

  /** Bytes as pairs of hexadecimal digits. */
  hex(name: string): Uint8Array {
    const text = this.text(name);
    if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw new Fault(`'${name}': expected hexadecimal bytes`);
    return Buffer.from(text, "hex");
  }
}
