// src/host/netfilter/iptables/names.ts: protocols and services by name, as /etc/protocols and /etc/services have them.

import { parseNumber } from "./words.ts";

/** Names that iptables-save prints, after its own table and Debian's /etc/protocols. */
const protocols: readonly (readonly [string, number])[] = [
  ["hopopt", 0],
  ["icmp", 1],
  ["igmp", 2],
  ["ggp", 3],
  ["ipencap", 4],
  ["st", 5],
  ["tcp", 6],
  ["egp", 8],
  ["igp", 9],
  ["pup", 12],
  ["udp", 17],
  ["hmp", 20],
  ["xns-idp", 22],
  ["rdp", 27],
  ["iso-tp4", 29],
  ["dccp", 33],
  ["xtp", 36],
  ["ddp", 37],
  ["idpr-cmtp", 38],
  ["ipv6", 41],
  ["ipv6-route", 43],
  ["ipv6-frag", 44],
  ["idrp", 45],
  ["rsvp", 46],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["skip", 57],
  ["ipv6-icmp", 58],
  ["ipv6-nonxt", 59],
  ["ipv6-opts", 60],
  ["rspf", 73],
  ["vmtp", 81],
  ["eigrp", 88],
  ["ospf", 89],
  ["ax.25", 93],
  ["ipip", 94],
  ["etherip", 97],
  ["encap", 98],
  ["pim", 103],
  ["ipcomp", 108],
  ["vrrp", 112],
  ["l2tp", 115],
  ["isis", 124],
  ["sctp", 132],
  ["fc", 133],
  ["mobility-header", 135],
  ["udplite", 136],
  ["mpls-in-ip", 137],
  ["manet", 138],
];

const protocolByName = new Map(protocols);
const protocolByNumber = new Map(protocols.map(([name, n]) => [n, name]));

/** `tcp`, `TCP`, `6`; `all` is 0. Null when unknown. */
export function parseProtocol(text: string): number | null {
  const n = parseNumber(text);
  if (n !== null) return n <= 255 ? n : null;
  const name = text.toLowerCase();
  if (name === "all" || name === "ip") return 0;
  if (name === "icmpv6") return 58;
  if (name === "mh") return 135;
  return protocolByName.get(name) ?? null;
}

export function formatProtocol(proto: number): string {
  return protocolByNumber.get(proto) ?? String(proto);
}

/** Services that rules name in practice. Rules are printed with numbers. */
const services: Readonly<Record<string, number>> = {
  tcpmux: 1,
  echo: 7,
  discard: 9,
  daytime: 13,
  chargen: 19,
  "ftp-data": 20,
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  time: 37,
  domain: 53,
  bootps: 67,
  bootpc: 68,
  tftp: 69,
  gopher: 70,
  finger: 79,
  http: 80,
  www: 80,
  kerberos: 88,
  pop3: 110,
  sunrpc: 111,
  auth: 113,
  nntp: 119,
  ntp: 123,
  "netbios-ns": 137,
  "netbios-dgm": 138,
  "netbios-ssn": 139,
  imap2: 143,
  imap: 143,
  snmp: 161,
  "snmp-trap": 162,
  snmptrap: 162,
  bgp: 179,
  irc: 194,
  ldap: 389,
  https: 443,
  "microsoft-ds": 445,
  submissions: 465,
  isakmp: 500,
  syslog: 514,
  printer: 515,
  submission: 587,
  ipp: 631,
  ldaps: 636,
  rsync: 873,
  imaps: 993,
  pop3s: 995,
  socks: 1080,
  openvpn: 1194,
  "ms-sql-s": 1433,
  l2f: 1701,
  radius: 1812,
  nfs: 2049,
  mysql: 3306,
  postgresql: 5432,
  "xmpp-client": 5222,
  amqp: 5672,
  sip: 5060,
  mdns: 5353,
  x11: 6000,
  redis: 6379,
  "http-alt": 8080,
};

/** A port by number or service name; null when unknown. */
export function parsePort(text: string): number | null {
  const n = parseNumber(text);
  if (n !== null) return n <= 65535 ? n : null;
  return Object.hasOwn(services, text) ? services[text]! : null;
}
