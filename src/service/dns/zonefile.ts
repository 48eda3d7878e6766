// src/service/dns/zonefile.ts: master files (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5): text to records with their places.

import type { DnsRecord } from "../../core/dns.ts";
import { TextError } from "../../host/text.ts";
import { type Entry, entriesOf, type Word } from "./lexer.ts";
import { isWithin, keyOf } from "./name.ts";
import { nameAt, parseTtl, readRdata, Words, wrong } from "./rdata.ts";
import { Class, classOf, Type, typeOf } from "./types.ts";

/** A record and where its owner or, without one, its first word stands. */
export interface Placed {
  readonly record: DnsRecord;
  readonly line: number;
  readonly column: number;
}

/** Types that ask, and that stand in no zone (RFC 1035 §3.2.3, RFC 6891 §6.1.1). */
const meta = new Set<number>([Type.OPT, Type.IXFR, Type.AXFR, Type.MAILB, Type.MAILA, Type.ANY]);

/**
 * The records of a master file whose first origin is `origin` (canonical). A record without a TTL has that of `$TTL`, else
 * the last one stated (RFC 1035 §5.1), else the minimum of the zone's SOA. Throws `TextError`: `what, expected what`.
 */
export function readZoneFile(text: string, zone: string): Placed[] {
  return new Reader(zone).read(text);
}

class Reader {
  private readonly out: Placed[] = [];
  private origin: string;
  private owner: string | null = null;
  private defaultTtl: number | null = null;
  private lastTtl: number | null = null;

  constructor(private readonly zone: string) {
    this.origin = zone;
  }

  read(text: string): Placed[] {
    for (const entry of entriesOf(text)) {
      const first = entry.words[0]!;
      if (!entry.blankOwner && !first.quoted && first.text.startsWith("$")) this.directive(first, entry.words);
      else this.record(entry);
    }
    return this.out;
  }

  private directive(first: Word, words: readonly Word[]): void {
    const rest = new Words(words, this.origin);
    rest.next("a directive");
    switch (first.text.toUpperCase()) {
      case "$ORIGIN":
        this.origin = rest.name("a name");
        break;
      case "$TTL":
        this.defaultTtl = rest.seconds("TTL");
        break;
      case "$INCLUDE":
        throw wrong(first, "$INCLUDE is not supported, expected the records themselves");
      case "$GENERATE":
        throw wrong(first, "$GENERATE is not supported, expected the records themselves");
      default:
        throw wrong(first, `unknown directive '${first.text}', expected $ORIGIN or $TTL`);
    }
    rest.done(first.text.toUpperCase());
  }

  private record(entry: Entry): void {
    const { words } = entry;
    const first = words[0]!;
    let at = 0;
    if (!entry.blankOwner) {
      this.owner = nameAt(first, this.origin);
      at = 1;
      if (!isWithin(keyOf(this.owner), keyOf(this.zone))) {
        throw wrong(first, `'${this.owner}' is outside the zone, expected '${this.zone}' or a name below it`);
      }
    }
    const { owner } = this;
    if (owner === null) throw wrong(first, "a record without an owner, expected a name at the beginning of the line");
    const last = words[words.length - 1]!;
    let ttl: number | null = null;
    let cls: number | null = null;
    let type: number | null = null;
    for (; type === null; at++) {
      const word = words[at];
      if (word === undefined) {
        throw new TextError(last.line, last.column + last.text.length, "the record ends here, expected a type");
      }
      const known = word.quoted ? null : typeOf(word.text);
      const asClass = word.quoted ? null : classOf(word.text);
      // ANY is a class's name and a type's: a record has neither
      if (asClass !== null && known === null && cls === null) cls = this.classAt(word, asClass);
      else if (known !== null) type = this.typeAt(word, known);
      else if (ttl === null && /^\d/.test(word.text)) {
        ttl = parseTtl(word.text);
        if (ttl === null) throw wrong(word, `'${word.text}' is no TTL, expected 0 to 2147483647 seconds`);
      } else throw wrong(word, `'${word.text}' is no type, expected one such as A, NS or TYPE65280`);
    }
    const rest = new Words(words.slice(at), this.origin);
    if (rest.left === 0) {
      const place = words[at - 1]!;
      throw new TextError(place.line, place.column + place.text.length, `the record ends here, expected its data`);
    }
    const data = readRdata(type, rest);
    if (ttl !== null) this.lastTtl = ttl;
    ttl ??= this.defaultTtl ?? this.lastTtl ?? (data.type === "SOA" ? data.minimum : null) ?? this.soaMinimum();
    if (ttl === null) throw wrong(first, "a record without a TTL, expected one, or a $TTL or the SOA before it");
    this.out.push({ record: { name: owner, class: Class.IN, ttl, ...data }, line: first.line, column: first.column });
  }

  private classAt(word: Word, cls: number): number {
    if (cls !== Class.IN) throw wrong(word, `class '${word.text}' is not served, expected IN`);
    return cls;
  }

  private typeAt(word: Word, type: number): number {
    if (meta.has(type)) throw wrong(word, `'${word.text}' is for questions, expected a record's type`);
    if (type === Type.DNAME) throw wrong(word, "DNAME is not supported, expected a CNAME for each name");
    return type;
  }

  private soaMinimum(): number | null {
    for (const { record } of this.out) if (record.type === "SOA") return record.minimum;
    return null;
  }
}
