// src/capture/filter/names.ts: the numbers behind names: constants, IP protocols, Ethernet types, services.

/** Values that pcap-filter(7) names: field offsets and field values. */
export const constants: ReadonlyMap<string, number> = new Map(Object.entries({
  icmptype: 0, icmpcode: 1, icmp6type: 0, icmp6code: 1, tcpflags: 13,
  // RFC 792, RFC 950, RFC 1256
  "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8,
  "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13,
  "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
  // RFC 4443 and IANA's ICMPv6 parameters
  "icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4,
  "icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130,
  "icmp6-multicastlistenerreportv1": 131, "icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133,
  "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136, "icmp6-redirect": 137,
  "icmp6-routerrenum": 138, "icmp6-nodeinformationquery": 139, "icmp6-nodeinformationresponse": 140,
  "icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142,
  "icmp6-multicastlistenerreportv2": 143, "icmp6-homeagentdiscoveryrequest": 144,
  "icmp6-homeagentdiscoveryreply": 145, "icmp6-mobileprefixsolicit": 146, "icmp6-mobileprefixadvert": 147,
  "icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149, "icmp6-multicastrouteradvert": 151,
  "icmp6-multicastroutersolicit": 152, "icmp6-multicastrouterterm": 153,
  // RFC 9293 §3.1
  "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
}));

/** IP protocol numbers (IANA), by the names and aliases of Debian's /etc/protocols. */
export const ipProtocols: ReadonlyMap<string, number> = new Map(Object.entries({
  ip: 0, IP: 0, hopopt: 0, HOPOPT: 0, icmp: 1, ICMP: 1, igmp: 2, IGMP: 2, ggp: 3, GGP: 3, ipencap: 4, "IP-ENCAP": 4,
  st: 5, ST: 5, tcp: 6, TCP: 6, egp: 8, EGP: 8, igp: 9, IGP: 9, pup: 12, PUP: 12, udp: 17, UDP: 17, hmp: 20, HMP: 20,
  "xns-idp": 22, rdp: 27, RDP: 27, "iso-tp4": 29, dccp: 33, DCCP: 33, xtp: 36, XTP: 36, ddp: 37, DDP: 37, ipv6: 41,
  IPv6: 41, "ipv6-route": 43, "IPv6-Route": 43, "ipv6-frag": 44, "IPv6-Frag": 44, idrp: 45, rsvp: 46, RSVP: 46,
  gre: 47, GRE: 47, esp: 50, ah: 51, AH: 51, skip: 57, SKIP: 57, "ipv6-icmp": 58, "IPv6-ICMP": 58, "ipv6-nonxt": 59,
  "ipv6-opts": 60, vmtp: 81, VMTP: 81, eigrp: 88, EIGRP: 88, ospf: 89, ipip: 94, IPIP: 94, etherip: 97, encap: 98,
  pim: 103, PIM: 103, ipcomp: 108, vrrp: 112, VRRP: 112, l2tp: 115, isis: 124, sctp: 132, SCTP: 132, fc: 133,
  "mobility-header": 135, udplite: 136, "mpls-in-ip": 137, hip: 139, HIP: 139,
}));

/** Ethernet types, and below 0x100 the LLC service access points that `ether proto` accepts beside them. */
export const etherProtocols: ReadonlyMap<string, number> = new Map(Object.entries({
  aarp: 0x80f3, arp: 0x0806, atalk: 0x809b, decnet: 0x6003, ip: 0x0800, ip6: 0x86dd, lat: 0x6004, loopback: 0x9000,
  mopdl: 0x6001, moprc: 0x6002, rarp: 0x8035, sca: 0x6007, iso: 0xfe, stp: 0x42, ipx: 0xe0, netbeui: 0xf0,
}));

const tcp = 1;
const udp = 2;

/** Services: port, and over what. The names that a filter is likely to hold, with /etc/services' meanings. */
const table: Record<string, readonly [number, number]> = {
  echo: [7, tcp | udp], discard: [9, tcp | udp], daytime: [13, tcp | udp], chargen: [19, tcp | udp],
  "ftp-data": [20, tcp], ftp: [21, tcp], ssh: [22, tcp], telnet: [23, tcp], smtp: [25, tcp], mail: [25, tcp],
  time: [37, tcp | udp], whois: [43, tcp], tacacs: [49, tcp | udp], domain: [53, tcp | udp], bootps: [67, udp],
  bootpc: [68, udp], tftp: [69, udp], gopher: [70, tcp], finger: [79, tcp], http: [80, tcp], www: [80, tcp],
  kerberos: [88, tcp | udp], pop3: [110, tcp], "pop-3": [110, tcp], sunrpc: [111, tcp | udp], auth: [113, tcp],
  ident: [113, tcp], nntp: [119, tcp], ntp: [123, udp], "netbios-ns": [137, udp], "netbios-dgm": [138, udp],
  "netbios-ssn": [139, tcp], imap2: [143, tcp], imap: [143, tcp], snmp: [161, tcp | udp], "snmp-trap": [162, tcp | udp],
  snmptrap: [162, tcp | udp], bgp: [179, tcp], ldap: [389, tcp | udp], https: [443, tcp | udp],
  "microsoft-ds": [445, tcp], submissions: [465, tcp], ssmtp: [465, tcp], smtps: [465, tcp], isakmp: [500, udp],
  syslog: [514, tcp | udp], printer: [515, tcp], router: [520, udp], route: [520, udp], rtsp: [554, tcp | udp],
  submission: [587, tcp], ipp: [631, tcp], ldp: [646, tcp | udp], ldaps: [636, tcp | udp], "dhcpv6-client": [546, udp],
  "dhcpv6-server": [547, udp], "domain-s": [853, tcp | udp], rsync: [873, tcp], ftps: [990, tcp], imaps: [993, tcp],
  pop3s: [995, tcp], socks: [1080, tcp], openvpn: [1194, tcp | udp], "ms-sql-s": [1433, tcp], l2f: [1701, udp],
  l2tp: [1701, udp], radius: [1812, tcp | udp], "radius-acct": [1813, tcp | udp], nfs: [2049, tcp | udp],
  "iscsi-target": [3260, tcp], mysql: [3306, tcp], "ms-wbt-server": [3389, tcp], svn: [3690, tcp], epmd: [4369, tcp],
  "ipsec-nat-t": [4500, udp], sip: [5060, tcp | udp], "sip-tls": [5061, tcp | udp], "xmpp-client": [5222, tcp],
  "xmpp-server": [5269, tcp], mdns: [5353, udp], postgresql: [5432, tcp], postgres: [5432, tcp], amqps: [5671, tcp],
  amqp: [5672, tcp],
  x11: [6000, tcp], redis: [6379, tcp], ircd: [6667, tcp], "http-alt": [8080, tcp], webcache: [8080, tcp],
  git: [9418, tcp], webmin: [10000, tcp], "zabbix-agent": [10050, tcp],
};

/** A service's port, and its one protocol (6 or 17; null when both have it). */
export function service(name: string): { port: number; protocol: number | null } | null {
  const entry = Object.hasOwn(table, name) ? table[name]! : null;
  if (entry === null) return null;
  return { port: entry[0], protocol: entry[1] === tcp ? 6 : entry[1] === udp ? 17 : null };
}
