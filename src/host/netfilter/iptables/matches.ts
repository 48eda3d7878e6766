// src/host/netfilter/iptables/matches.ts: all matches by name.

import type { Builder, Fail, Match, Place } from "./rule.ts";
import { connectionMatches } from "./match/connection.ts";
import { conntrackMatches } from "./match/conntrack.ts";
import { deviceMatches } from "./match/device.ts";
import { hashlimitMatches } from "./match/hashlimit.ts";
import { headerMatches } from "./match/header.ts";
import { linkMatches } from "./match/link.ts";
import { payloadMatches } from "./match/payload.ts";
import { protocolMatches } from "./match/protocol.ts";
import { rateMatches } from "./match/rate.ts";
import { recentMatches } from "./match/recent.ts";

export type MatchMaker = (place: Place, fail: Fail) => Builder<Match>;

export const matches: Readonly<Record<string, MatchMaker>> = {
  ...protocolMatches,
  ...conntrackMatches,
  ...connectionMatches,
  ...deviceMatches,
  ...linkMatches,
  ...headerMatches,
  ...payloadMatches,
  ...rateMatches,
  ...hashlimitMatches,
  ...recentMatches,
};
