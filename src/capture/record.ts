// src/capture/record.ts: the current packet of a capture, as fields that the next one overwrites.

import { optionComments } from "./options.ts";

const none = new Uint8Array(0);

/**
 * A packet as a file holds it. One object serves a whole file: copy what must outlive the next packet.
 * Times are `seconds` and `nanoseconds` since 1970-01-01T00:00:00Z, both integers, 0 <= nanoseconds < 1e9: exact.
 */
export class CaptureRecord {
  /** From 1, in file order; 0 before the first. */
  number = 0;
  /** Index into `CaptureReader.interfaces`. */
  interfaceId = 0;
  /** The link type of that interface. */
  linkType = 0;
  seconds = 0;
  nanoseconds = 0;
  /** False for a Simple Packet Block, which has no time (both fields are 0 then). */
  timed = false;
  /** Bytes in the file. */
  capturedLength = 0;
  /** Bytes on the wire. As the file says: a bad writer may have put less than `capturedLength`. */
  originalLength = 0;
  /** 0 unknown, 1 in, 2 out. */
  direction = 0;
  /** epb_flags as a whole; 0 when absent. */
  flags = 0;
  /** Where the file's record starts. */
  fileOffset = 0;
  /** The packet is `buffer[offset]` to `buffer[offset + capturedLength - 1]`, until the next `next()`. */
  buffer: Uint8Array = none;
  offset = 0;

  /** Where in `buffer` the packet's options are, for `comments`: 0, 0 when it has none. */
  optionsAt = 0;
  optionsEnd = 0;
  /** The byte order of the file, or of the current section. */
  littleEndian = true;

  /** A view of the packet: good until the next `next()`. */
  data(): Uint8Array {
    return this.buffer.subarray(this.offset, this.offset + this.capturedLength);
  }

  /** The packet's comments; null when it has none. Decoded when asked for. */
  get comments(): readonly string[] | null {
    if (this.optionsAt === 0) return null;
    const found = optionComments(this.buffer, this.optionsAt, this.optionsEnd, this.littleEndian);
    return found.length === 0 ? null : found;
  }
}
