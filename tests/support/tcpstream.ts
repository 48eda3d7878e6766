// tests/support/tcpstream.ts: what two streams say to each other as TCP segments in Ethernet frames, for captures.

/** One end's addresses. */
export interface End {
  readonly mac: number;
  readonly ip: readonly number[];
  readonly port: number;
}

function sum(bytes: Uint8Array, start = 0): number {
  let s = start;
  for (let i = 0; i < bytes.length; i += 2) s += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

const FIN = 1;
const SYN = 2;
const PSH = 8;
const ACK = 16;

/** Frames one connection; `emit` takes each frame, `from` 0 for the first end's. */
export class TcpStream {
  private readonly next = [1000, 5000];

  constructor(
    private readonly ends: readonly [End, End],
    private readonly emit: (frame: Uint8Array, from: 0 | 1) => void,
  ) {}

  open(): void {
    this.segment(0, SYN, new Uint8Array(0));
    this.segment(1, SYN | ACK, new Uint8Array(0));
    this.segment(0, ACK, new Uint8Array(0));
  }

  data(from: 0 | 1, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 1460) this.segment(from, PSH | ACK, bytes.subarray(at, at + 1460));
  }

  close(): void {
    this.segment(0, FIN | ACK, new Uint8Array(0));
    this.segment(1, FIN | ACK, new Uint8Array(0));
    this.segment(0, ACK, new Uint8Array(0));
  }

  private segment(from: 0 | 1, flags: number, data: Uint8Array): void {
    const [a, b] = [this.ends[from]!, this.ends[1 - from]!];
    const frame = new Uint8Array(54 + data.length);
    const view = new DataView(frame.buffer);
    frame.set([2, 0, 0, 0, 0, b.mac, 2, 0, 0, 0, 0, a.mac, 8, 0], 0);
    frame.set([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, ...a.ip, ...b.ip], 14);
    view.setUint16(16, 40 + data.length);
    view.setUint16(24, ~sum(frame.subarray(14, 34)) & 0xffff);
    view.setUint16(34, a.port);
    view.setUint16(36, b.port);
    view.setUint32(38, this.next[from]!);
    view.setUint32(42, (flags & ACK) !== 0 ? this.next[1 - from]! : 0);
    frame.set([0x50, flags, 0xff, 0xff], 46);
    frame.set(data, 54);
    const pseudo = Uint8Array.of(...a.ip, ...b.ip, 0, 6, (20 + data.length) >> 8, (20 + data.length) & 255);
    view.setUint16(50, ~sum(frame.subarray(34), sum(pseudo)) & 0xffff);
    this.next[from]! += data.length + ((flags & (SYN | FIN)) !== 0 ? 1 : 0);
    this.emit(frame, from);
  }
}
