// src/repl/help.ts: the help of the REPL, by topic, with examples.

import { LineError, type Word } from "./words.ts";

const topics: Readonly<Record<string, string>> = {
  step: `step [event|hop|layer] [N]     forward; alone: by event. Short: s (event), n (hop), l (layer)
event [N]                      the next thing that happens: receive, rule, route, rewrite, transmit, drop ...
hop [N]                        until this packet is at the next host, delivered or dropped
layer [N]                      until this packet is in another layer of its host, or at another host
back [N]                       N events back: every table, timer and byte is as it was
  h1 ping h2 -c 1 &            starts a ping and stays here
  step                         the first thing that it does
  hop                          its packet at the next host
  back 2`,
  run: `run                            until a breakpoint, or until nothing happens any more
run N                          N events
run TIME                       so much virtual time: run 10ms
run until TIME                 until the clock shows that
continue                       as run
  run until 2s`,
  break: `break drop                     stop at each packet that is dropped
break HOST [DEV]               at what comes to a host, or passes its device (break host HOST DEV is the same)
break rule TEXT                at a rule whose text holds TEXT
break ADDRESS                  at packets from or to it
break                          the list
delete [N]                     all go, or one
  break host docker0
  break rule DNAT
  continue`,
  show: `show, layers                   the event and its packet by layers: data (7) ... bits (1)
bytes                          each byte with its field, value and meaning; * marks what this host changed
bits [FROM [COUNT]]            as the wire has it: preamble, FCS, bits, Manchester code
detail line|layers|bytes       how much each step prints
why                            the rule, route or table entry that decided
log [N]                        the last N events, a line each
time, history                  the clock; the commands that were given
digest                         a fingerprint of all state: memory, tables, timers, chance`,
  net: `nodes, net, links, dump        the network, in Mininet's words
pingall                        everybody pings everybody
iperf A B [-t TIME]            how much TCP carries from A to B
link A B down|up               cuts or mends the links between two nodes
  link router host down`,
  host: `HOST ip route|neigh|addr|link|rule ...      HOST ip route get ADDRESS
HOST iptables-save | iptables ... | nft list ruleset
HOST conntrack -L | conntrack -F | ss -tan | ss -uan
HOST bridge fdb|link|vlan ... | sysctl KEY[=VALUE] | tc qdisc ...
HOST tcpdump [-i DEV] [-c N] [-x] [FILTER]  what passed up to now
HOST ping ADDRESS|NODE [-c N] [-i S] [-W S] [-t TTL]
HOST traceroute ADDRESS [-m HOPS] [-q PROBES] [-w S]
HOST dig [@SERVER] NAME [TYPE] [+short]     HOST curl URL [-i] [-I] [-X METHOD]
A program runs until it ends, a breakpoint stops the world, or nothing happens any more; with & behind it, it is only
started, and 'step' and 'run' go through what it does.
  h1 ip route add 10.9.0.0/16 via 10.0.0.2
  client tcpdump -i eth0 tcp port 80`,
  build: `build PACKET                   makes a packet and shows its bytes: lengths and checksums are filled in
send HOST DEV [PACKET]         sends it (or this one) out of the device
inject HOST DEV [PACKET]       as if it had come to the device from the wire
Parts: eth [src dst type] / vlan [id prio] / arp [op sha spa tha tpa] / ip [src dst ttl id tos proto df mf offset len
checksum] / icmp [type code id seq] / udp [sport dport] / tcp [sport dport seq ack flags window] / "text" / hex 0102
  build eth / ip dst 10.0.0.1 ttl 5 / tcp dport 80 flags S / "data"
  send h1 eth0
  step`,
  save: `save FILE                      the network with its clock, tables, sockets and bytes under way: lab, seed, commands, position
load FILE                      back to it
fork NAME                      a second world from here; switch NAME goes from one to another (the first is 'main')`,
};

const alias: Readonly<Record<string, string>> = {
  event: "step",
  hop: "step",
  layer: "step",
  back: "step",
  continue: "run",
  delete: "break",
  layers: "show",
  bytes: "show",
  bits: "show",
  detail: "show",
  why: "show",
  log: "show",
  time: "show",
  digest: "show",
  history: "show",
  nodes: "net",
  links: "net",
  dump: "net",
  pingall: "net",
  iperf: "net",
  link: "net",
  send: "build",
  inject: "build",
  load: "save",
  fork: "save",
  switch: "save",
  ping: "host",
  curl: "host",
  dig: "host",
  traceroute: "host",
  tcpdump: "host",
  ip: "host",
};

/** The help of a topic, or the list. */
export function helpText(w: Word | null): string {
  if (w === null) {
    return `Topics (help TOPIC): ${Object.keys(topics).join(", ")}

step, hop, layer, back, run, break, continue     go through what happens, forward and back
show, bytes, bits, why, log                      look at where you are
nodes, net, dump, pingall, iperf, link           the network
HOST ip|iptables|ss|tcpdump|ping|curl|dig ...    a host's own commands
build, send, inject                              packets by hand
save, load, fork, switch                         keep it
quit

In a script (stdin) a line that is wrong is said as stdin:LINE:COLUMN, the next one is done all the same, and the exit
status is 1 in the end; 0 when every line worked. # begins a comment.`;
  }
  const text = topics[w.text] ?? topics[alias[w.text] ?? ""];
  if (text === undefined)
    throw new LineError(w.column, `'${w.text}', expected one of: ${Object.keys(topics).join(", ")}`);
  return text;
}
