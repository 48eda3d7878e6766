// src/cli/decode-payload.ts: which protocol a segment's payload belongs to, as Wireshark decides it: ports, then the text.

import { Layer, Rec } from "../../assembly/record.ts";
import type { Dissection } from "../core/dissect.ts";
import { Flow, Flows } from "./decode-flows.ts";
import { HttpMessage } from "./decode-http.ts";
import { takenTcp, takenUdp } from "./decode-ports.ts";

const LF = 10;
const TAB = 9;

/** Protocols of payloads, with what earlier segments of the capture said. */
export class Payload {
  readonly http: HttpMessage;
  private readonly d: Dissection;
  private readonly flows = new Flows();
  private anyByText = false;

  constructor(d: Dissection) {
    this.d = d;
    this.http = new HttpMessage(d.core);
  }

  /** `HttpPort`, `DnsPort`, or 0 for what is not decoded. `n` bytes, at least one, at `at`. */
  protocol(layers: number, at: number, n: number): number {
    const ports = this.d.get(Rec.Ports);
    const [a, b] = [ports >>> 16, ports & 0xffff];
    const low = Math.min(a, b);
    const high = Math.max(a, b);
    if (layers & Layer.Udp) {
      if (takenUdp[low] === 1) return 0;
      if (layers & Layer.DnsPort) return Layer.DnsPort;
      return takenUdp[high] === 0 && this.looksLikeDns(at, n) ? Layer.DnsPort : 0;
    }
    if (this.anyByText && this.facts(ports) & Flow.Http) return Layer.HttpPort;
    if (takenTcp[low] === 1) return 0;
    if (layers & (Layer.HttpPort | Layer.DnsPort)) return layers & (Layer.HttpPort | Layer.DnsPort);
    if (takenTcp[high] === 1) return 0;
    if (!this.looksLikeHttp(at, n)) return 0;
    this.anyByText = true;
    this.remember(ports, Flow.Http);
    return Layer.HttpPort;
  }

  /** Whether the bytes that `http` has read are HTTP; `start` says that they begin as a message does. */
  isHttp(start: boolean): boolean {
    const ports = this.d.get(Rec.Ports);
    if (this.http.isRequest) this.remember(ports, Flow.Request);
    return start || (this.facts(ports) & Flow.Request) !== 0;
  }

  /** A connection opens: what an older one between the same ports said is over. */
  opened(): void {
    if (this.flows.isEmpty) return;
    const ports = this.d.get(Rec.Ports);
    this.flows.forget(this.d.get(Rec.Src), this.d.get(Rec.Dst), ports);
    this.flows.forget(this.d.get(Rec.Dst), this.d.get(Rec.Src), ((ports << 16) | (ports >>> 16)) >>> 0);
  }

  private facts(ports: number): number {
    return this.flows.get(this.d.get(Rec.Src), this.d.get(Rec.Dst), ports);
  }

  /** Of both directions. */
  private remember(ports: number, facts: Flow): void {
    this.flows.add(this.d.get(Rec.Src), this.d.get(Rec.Dst), ports, facts);
    this.flows.add(this.d.get(Rec.Dst), this.d.get(Rec.Src), ((ports << 16) | (ports >>> 16)) >>> 0, facts);
  }

  /** A standard query with one question, or an answer to one, with plausible counts. */
  private looksLikeDns(at: number, n: number): boolean {
    if (n <= 12) return false;
    const { u8 } = this.d.core;
    const word = (i: number): number => (u8[at + 2 * i]! << 8) | u8[at + 2 * i + 1]!;
    const flags = word(1);
    if ((flags & 0x7800) !== 0 || word(5) > 10) return false;
    return (flags & 0x8000) === 0
      ? word(2) === 1 && word(3) === 0 && word(4) === 0
      : word(2) <= 1 && word(3) <= 100 && word(4) <= 10;
  }

  /** A first line that begins with `HTTP/1.` or ends with it and one more character. */
  private looksLikeHttp(at: number, n: number): boolean {
    const { u8 } = this.d.core;
    if (u8[at]! < 0x20 || u8[at]! > 0x7e) return false;
    let end = at;
    for (; end < at + n && u8[end] !== LF; end++)
      if (u8[end]! < 0x20 && u8[end] !== TAB && u8[end + 1] !== LF) return false;
    if (end === at + n) return false;
    const length = end - at - (u8[end - 1] === 13 ? 1 : 0);
    return length > 8 && (isHttp1(u8, at) || isHttp1(u8, at + length - 8));
  }
}

const word = [..."http/1."].map((c) => c.charCodeAt(0));

function isHttp1(b: Uint8Array, at: number): boolean {
  for (let i = 0; i < word.length; i++) {
    const c = b[at + i]!;
    if ((c >= 65 && c <= 90 ? c | 0x20 : c) !== word[i]) return false;
  }
  return true;
}
