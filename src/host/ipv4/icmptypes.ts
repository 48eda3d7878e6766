// src/host/ipv4/icmptypes.ts: ICMP types and codes (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7).

export const icmp = {
  echoReply: 0,
  unreachable: 3,
  sourceQuench: 4,
  redirect: 5,
  echo: 8,
  timeExceeded: 11,
  parameterProblem: 12,
  timestamp: 13,
  timestampReply: 14,
  infoRequest: 15,
  infoReply: 16,
  address: 17,
  addressReply: 18,
} as const;

/** Codes of `unreachable`. */
export const unreachable = {
  net: 0,
  host: 1,
  protocol: 2,
  port: 3,
  fragNeeded: 4,
  sourceRouteFailed: 5,
  netUnknown: 6,
  hostUnknown: 7,
  hostIsolated: 8,
  netProhibited: 9,
  hostProhibited: 10,
  filtered: 13,
} as const;

/** The highest type that Linux knows. */
export const highestType = 18;

/** Types that report an error: they quote a packet, and no error answers them (RFC 1122 §3.2.2). */
export function isError(type: number): boolean {
  return (
    type === icmp.unreachable ||
    type === icmp.sourceQuench ||
    type === icmp.redirect ||
    type === icmp.timeExceeded ||
    type === icmp.parameterProblem
  );
}

/** Messages that no error answers: errors, types above the known ones, and those that Linux marks so: 1, 2, 6, 7, 9, 10. */
export function isUnanswerable(type: number): boolean {
  return type > highestType || isError(type) || ((1 << type) & 0x6c6) !== 0;
}
