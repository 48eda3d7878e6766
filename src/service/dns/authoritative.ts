// src/service/dns/authoritative.ts: an authoritative name server as a program: a root's, a TLD's, anybody's.

import type { DnsMessage } from "../../core/dns.ts";
import { formatIpv4 } from "../../core/address.ts";
import { log, type Program, type ProgramHost } from "../program.ts";
import { Authority, type Choice, type RecordOrder } from "./authority.ts";
import { DnsServer } from "./server.ts";
import { rcodeName } from "./types.ts";
import type { Zone } from "./zone.ts";

export interface AuthoritativeOptions {
  readonly zones: Iterable<Zone>;
  /** The address to listen on, host order; left out: all. */
  readonly address?: number;
  readonly order?: RecordOrder;
  /** Whom it gives what, in place of `order`. */
  readonly choice?: Choice;
}

export class AuthoritativeServer implements Program {
  readonly name = "named";
  readonly authority: Authority;
  private server: DnsServer | null = null;

  constructor(private readonly options: AuthoritativeOptions) {
    this.authority = new Authority(options.zones, options.order, options.choice);
  }

  start(host: ProgramHost): void {
    if (this.server !== null) throw new Error(`${host.name}: the name server runs already`);
    this.server = new DnsServer(
      host,
      (query, client, reply) => {
        const draft = this.authority.answer(query.questions[0]!, client.address);
        log(host, this.name, () => {
          const n = draft.answers?.length ?? 0;
          return `${formatIpv4(client.address)} ${questionText(query)}: ${rcodeName(draft.rcode ?? 0)}, ${n} answers`;
        });
        reply(draft);
      },
      this.options.address ?? 0,
    );
  }

  stop(): void {
    this.server?.close();
    this.server = null;
  }
}

/** `www.example.com A` */
export function questionText(query: DnsMessage): string {
  const q = query.questions[0];
  return q === undefined ? "no question" : `${q.name} ${q.type}`;
}
