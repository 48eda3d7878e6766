// src/transport/tcp/ackflags.ts: what an ACK brought (Linux's FLAG_*).

export const Flag = {
  /** The segment carries data. */
  Data: 0x01,
  WindowUpdate: 0x02,
  DataAcked: 0x04,
  /** Something that had been sent again was acknowledged. */
  RetransDataAcked: 0x08,
  SynAcked: 0x10,
  DataSacked: 0x20,
  Ece: 0x40,
  /** A retransmission was found lost. */
  LostRetrans: 0x80,
  SndUnaAdvanced: 0x400,
  DsackingAck: 0x800,
  /** Something never sent again was sacked or acknowledged. */
  OrigSackAcked: 0x200,
  /** The retransmission timer is to be set anew. */
  SetXmitTimer: 0x1000,
  SackReneging: 0x2000,
  DsackTlp: 0x8000,
} as const;

export const ACKED = Flag.DataAcked | Flag.SynAcked;
export const NOT_DUP = Flag.Data | Flag.WindowUpdate | ACKED;
export const FORWARD_PROGRESS = ACKED | Flag.DataSacked;
