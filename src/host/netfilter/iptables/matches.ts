// src/host/netfilter/iptables/matches.ts: all matches by name.

import type { Builder, Fail, Match, Place } from "./rule.ts";
import { conntrackMatches } from "./match/conntrack.ts";
import { deviceMatches } from "./match/device.ts";
import { protocolMatches } from "./match/protocol.ts";

export type MatchMaker = (place: Place, fail: Fail) => Builder<Match>;

export const matches: Readonly<Record<string, MatchMaker>> = {
  ...protocolMatches,
  ...conntrackMatches,
  ...deviceMatches,
};
