// src/capture/writer.ts: writing pcap and pcapng, little-endian, into chunks that a sink takes.
//
// Times are whole seconds and nanoseconds since 1970-01-01T00:00:00Z, as CaptureRecord has them. For a clock of integer
// nanoseconds `t` that starts at second `epoch`: seconds = epoch + Math.floor(t / 1e9), nanoseconds = t % 1e9.

import { If, Isb, Shb } from "./blocks.ts";
import { type CaptureName, type InterfaceStatistics, LinkType, MAX_CAPTURED, TLS_KEY_LOG } from "./format.ts";
import { Option } from "./options.ts";
import { encodeText, Output, optionLength, type Sink } from "./output.ts";
import { FILE_HEADER_LEN, MAGIC_MICRO, MAGIC_NANO, RECORD_HEADER_LEN } from "./pcap.ts";
import { Block, BYTE_ORDER_MAGIC, EPB_FLAGS } from "./pcapng.ts";

export type { Sink } from "./output.ts";

const CHUNK = 65_536;

/** Refuses a time that is not whole seconds below `limit` and nanoseconds below 1e9. */
function checkTime(seconds: number, nanoseconds: number, limit: number): void {
  if (!(seconds >= 0 && seconds < limit) || seconds !== Math.floor(seconds)) {
    throw new RangeError(`seconds ${seconds}: expected a whole number from 0 below ${limit}`);
  }
  if (!(nanoseconds >= 0 && nanoseconds < 1e9) || nanoseconds !== Math.floor(nanoseconds)) {
    throw new RangeError(`nanoseconds ${nanoseconds}: expected a whole number from 0 below 1000000000`);
  }
}

function checkLength(bytes: Uint8Array, offset: number, length: number): void {
  if (length > MAX_CAPTURED) throw new RangeError(`a packet of ${length} bytes, at most ${MAX_CAPTURED} fit`);
  if (offset < 0 || length < 0 || offset + length > bytes.length) {
    throw new RangeError(`a packet at ${offset} of ${length} bytes, in a buffer of ${bytes.length}`);
  }
}

export interface PcapWriterOptions {
  /** Default Ethernet. */
  readonly linkType?: number;
  /** Nanoseconds instead of microseconds (what is finer is cut off). Default true. */
  readonly nanoseconds?: boolean;
  /** Told to readers; nothing is cut. Default 262144. */
  readonly snapLength?: number;
  /** Bytes of a chunk. Default 64 KiB. */
  readonly chunkLength?: number;
}

/** Writes a pcap file: its header at once, a record for each `write`. Call `flush` at the end. */
export class PcapWriter {
  private readonly out: Output;
  private readonly unit: number;

  constructor(sink: Sink, options: PcapWriterOptions = {}) {
    const nano = options.nanoseconds ?? true;
    this.unit = nano ? 1 : 1000;
    this.out = new Output(sink, options.chunkLength ?? CHUNK);
    const { out } = this;
    out.reserve(FILE_HEADER_LEN);
    out.u32(nano ? MAGIC_NANO : MAGIC_MICRO);
    out.u16(2);
    out.u16(4);
    out.u32(0);
    out.u32(0);
    out.u32(options.snapLength ?? MAX_CAPTURED);
    out.u32(options.linkType ?? LinkType.Ethernet);
  }

  /**
   * Appends the packet `bytes[offset]` to `bytes[offset + length - 1]`. `originalLength` is its length on the wire.
   * A time from 2106 on does not fit and is a RangeError.
   */
  write(
    seconds: number,
    nanoseconds: number,
    bytes: Uint8Array,
    offset = 0,
    length = bytes.length - offset,
    originalLength = length,
  ): void {
    checkTime(seconds, nanoseconds, 2 ** 32);
    checkLength(bytes, offset, length);
    const { out } = this;
    out.reserve(RECORD_HEADER_LEN + length);
    out.u32(seconds);
    out.u32(this.unit === 1 ? nanoseconds : Math.floor(nanoseconds / 1000));
    out.u32(length);
    out.u32(originalLength);
    out.copy(bytes, offset, length);
  }

  /** Hands out what is not yet handed out. Writing may go on. */
  flush(): void {
    this.out.flush();
  }
}

export interface PcapngWriterOptions {
  /** shb_userappl. Default "wirepath". */
  readonly application?: string;
  readonly os?: string;
  readonly hardware?: string;
  readonly comments?: readonly string[];
  /** Bytes of a chunk. Default 64 KiB. */
  readonly chunkLength?: number;
}

export interface NewInterface {
  /** Default Ethernet. */
  readonly linkType?: number;
  readonly name?: string;
  readonly description?: string;
  /** Six bytes. */
  readonly mac?: Uint8Array;
  /** Bits a second. */
  readonly speed?: number;
  /** Told to readers; nothing is cut. Default 262144. */
  readonly snapLength?: number;
  readonly comments?: readonly string[];
}

type OptionList = (readonly [code: number, value: Uint8Array])[];

function texts(what: string, code: number, values: readonly (string | undefined)[] | undefined): OptionList {
  return (values ?? []).filter((v) => v !== undefined).map((v) => [code, encodeText(what, v)] as const);
}

/** A whole number in eight bytes, little-endian. */
function number64(v: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(v), true);
  return bytes;
}

/** Writes a pcapng file of one section, times in nanoseconds. Call `flush` at the end. */
export class PcapngWriter {
  private readonly out: Output;
  private interfaces = 0;

  constructor(sink: Sink, options: PcapngWriterOptions = {}) {
    this.out = new Output(sink, options.chunkLength ?? CHUNK);
    const list = [
      ...texts("section comment", Option.Comment, options.comments),
      ...texts("hardware", Shb.Hardware, [options.hardware]),
      ...texts("os", Shb.Os, [options.os]),
      ...texts("application", Shb.Application, [options.application ?? "wirepath"]),
    ];
    const length = this.begin(Block.SectionHeader, 16, list);
    this.out.u32(BYTE_ORDER_MAGIC);
    this.out.u16(1);
    this.out.u16(0);
    // the section's length is not known
    this.out.u32(0xffff_ffff);
    this.out.u32(0xffff_ffff);
    this.finish(length, list);
  }

  /**
   * Describes an interface and answers the id that `write` takes: 0, 1, 2 ... Readers take one at any place, but editcap
   * 4.0 looks for link types only in the descriptions that directly follow the start: add the known ones first.
   */
  addInterface(i: NewInterface = {}): number {
    const { mac } = i;
    if (mac !== undefined && mac.length !== 6) throw new RangeError(`mac: ${mac.length} bytes, expected 6`);
    const list: OptionList = [
      ...texts("interface comment", Option.Comment, i.comments),
      ...texts("interface name", If.Name, [i.name]),
      ...texts("interface description", If.Description, [i.description]),
    ];
    if (mac !== undefined) list.push([If.Mac, mac]);
    if (i.speed !== undefined) list.push([If.Speed, number64(i.speed)]);
    list.push([If.TsResol, Uint8Array.of(9)]);
    const length = this.begin(Block.Interface, 8, list);
    this.out.u16(i.linkType ?? LinkType.Ethernet);
    this.out.u16(0);
    this.out.u32(i.snapLength ?? MAX_CAPTURED);
    this.finish(length, list);
    return this.interfaces++;
  }

  /**
   * Appends the packet `bytes[offset]` to `bytes[offset + length - 1]` as an Enhanced Packet Block. `direction`: 0
   * unknown, 1 in, 2 out. A comment of more than 65,535 bytes and a time from 2554 on are RangeErrors.
   */
  write(
    interfaceId: number,
    seconds: number,
    nanoseconds: number,
    bytes: Uint8Array,
    offset = 0,
    length = bytes.length - offset,
    originalLength = length,
    direction = 0,
    comments: readonly string[] | null = null,
  ): void {
    this.known(interfaceId);
    checkTime(seconds, nanoseconds, 18_446_744_073);
    checkLength(bytes, offset, length);
    const { out } = this;
    const values = comments === null ? null : comments.map((c) => encodeText("comment", c));
    let options = direction === 0 ? 0 : 8;
    if (values !== null) for (const value of values) options += optionLength(value);
    if (options > 0) options += 4;
    const total = 32 + ((length + 3) & ~3) + options;
    out.reserve(total);
    out.u32(Block.EnhancedPacket);
    out.u32(total);
    out.u32(interfaceId);
    this.time(seconds, nanoseconds);
    out.u32(length);
    out.u32(originalLength);
    out.copy(bytes, offset, length);
    out.pad(length);
    if (options > 0) {
      if (values !== null) for (const value of values) out.option(Option.Comment, value);
      if (direction !== 0) {
        out.u16(EPB_FLAGS);
        out.u16(4);
        out.u32(direction);
      }
      out.endOfOptions();
    }
    out.u32(total);
  }

  /**
   * Appends a Decryption Secrets Block; by default `data` is a TLS key log (NSS format), as SSLKEYLOGFILE has it. It
   * should stand after the interfaces and before the packets that it decrypts.
   */
  writeSecrets(data: Uint8Array, type: number = TLS_KEY_LOG): void {
    const length = this.begin(Block.DecryptionSecrets, 8 + ((data.length + 3) & ~3), []);
    this.out.u32(type);
    this.out.u32(data.length);
    this.out.copy(data, 0, data.length);
    this.out.pad(data.length);
    this.finish(length, []);
  }

  /**
   * Appends a Name Resolution Block: what IPv4 (4 bytes) and IPv6 addresses (16) are called. Readers show the first name.
   */
  writeNames(names: readonly CaptureName[]): void {
    const records = names.map(({ address, names: list }) => {
      const type = address.length === 4 ? 1 : address.length === 16 ? 2 : 0;
      if (type === 0) throw new RangeError(`an address of ${address.length} bytes, expected 4 or 16`);
      return { type, address, text: encodeText("names", list.map((n) => `${n}\0`).join("")) };
    });
    let body = 4;
    for (const r of records) body += 4 + ((r.address.length + r.text.length + 3) & ~3);
    const length = this.begin(Block.NameResolution, body, []);
    const { out } = this;
    for (const { type, address, text } of records) {
      out.u16(type);
      out.u16(address.length + text.length);
      out.copy(address, 0, address.length);
      out.copy(text, 0, text.length);
      out.pad(address.length + text.length);
    }
    out.u32(0);
    this.finish(length, []);
  }

  /** Appends an Interface Statistics Block. */
  writeStatistics(interfaceId: number, s: InterfaceStatistics): void {
    this.known(interfaceId);
    checkTime(s.seconds, s.nanoseconds, 18_446_744_073);
    const counters: readonly (readonly [number, number | undefined])[] = [
      [Isb.Received, s.received],
      [Isb.Dropped, s.dropped],
      [Isb.Accepted, s.accepted],
      [Isb.DroppedBySystem, s.droppedBySystem],
      [Isb.Delivered, s.delivered],
    ];
    const list: OptionList = [];
    for (const [code, v] of counters) if (v !== undefined) list.push([code, number64(v)]);
    const length = this.begin(Block.InterfaceStatistics, 12, list);
    this.out.u32(interfaceId);
    this.time(s.seconds, s.nanoseconds);
    this.finish(length, list);
  }

  /** Hands out what is not yet handed out. Writing may go on. */
  flush(): void {
    this.out.flush();
  }

  private known(interfaceId: number): void {
    if (!(interfaceId >= 0 && interfaceId < this.interfaces)) {
      throw new RangeError(`interface ${interfaceId}, the file has ${this.interfaces}`);
    }
  }

  /** Nanoseconds since 1970 as two words: in steps that stay below 2^53, and without the slow remainder of doubles. */
  private time(seconds: number, nanoseconds: number): void {
    const spans = Math.floor(seconds / 65_536);
    const top = spans * 1e9;
    const hi = Math.floor(top / 65_536);
    const low = (top - hi * 65_536) * 65_536 + (seconds - spans * 65_536) * 1e9 + nanoseconds;
    const carry = Math.floor(low / 2 ** 32);
    this.out.u32(hi + carry);
    this.out.u32(low - carry * 2 ** 32);
  }

  /** A block's head; answers its length. */
  private begin(type: number, fixed: number, list: OptionList): number {
    let length = 12 + fixed;
    for (const [, value] of list) length += optionLength(value);
    if (list.length > 0) length += 4;
    this.out.reserve(length);
    this.out.u32(type);
    this.out.u32(length);
    return length;
  }

  /** A block's options and its end. */
  private finish(length: number, list: OptionList): void {
    for (const [code, value] of list) this.out.option(code, value);
    if (list.length > 0) this.out.endOfOptions();
    this.out.u32(length);
  }
}
