// src/host/netfilter/nft/nft.ts: a host's nftables: what `nft -f` and `nft list ruleset` do.

import { TextError } from "../../text.ts";
import type { FirewallHost } from "../host.ts";

export class Nft {
  constructor(readonly host: FirewallHost) {}

  /** @throws TextError */
  load(text: string): void {
    if (text.trim() !== "") throw new TextError(1, 1, "nftables rules are not supported");
  }

  /** What `nft list ruleset` prints. */
  print(): string {
    return "";
  }
}
