// What the tests use of dns-packet, which has no types of its own.
declare module "dns-packet" {
  export interface Packet {
    id?: number;
    type?: "query" | "response";
    flags?: number;
    questions?: { name: string; type: string; class?: string }[];
    answers?: Record<string, unknown>[];
    authorities?: Record<string, unknown>[];
    additionals?: Record<string, unknown>[];
  }
  export function encode(packet: Packet): Buffer;
  export function decode(bytes: Buffer): Required<Packet>;
}
