// src/host/sysctl.ts: the kernel's settings by their names, with Linux's defaults (Documentation/networking/ip-sysctl.rst).

/** net.ipv4.conf.IF.* */
export interface Conf {
  forwarding: number;
  rp_filter: number;
  accept_source_route: number;
  send_redirects: number;
  accept_redirects: number;
  secure_redirects: number;
  shared_media: number;
  arp_ignore: number;
  arp_announce: number;
  arp_filter: number;
  arp_accept: number;
  arp_notify: number;
  arp_evict_nocarrier: number;
  proxy_arp: number;
  proxy_arp_pvlan: number;
  medium_id: number;
  route_localnet: number;
  accept_local: number;
  src_valid_mark: number;
  drop_unicast_in_l2_multicast: number;
  drop_gratuitous_arp: number;
  log_martians: number;
  mc_forwarding: number;
  bc_forwarding: number;
  bootp_relay: number;
  promote_secondaries: number;
  ignore_routes_with_linkdown: number;
  disable_policy: number;
  disable_xfrm: number;
  tag: number;
  force_igmp_version: number;
}

/** net.ipv4.neigh.IF.*; times in the unit that the name says: `_ms`, else seconds; locktime, proxy_delay and anycast_delay in 1/100 s. */
export interface NeighConf {
  mcast_solicit: number;
  ucast_solicit: number;
  app_solicit: number;
  mcast_resolicit: number;
  retrans_time_ms: number;
  delay_first_probe_time: number;
  base_reachable_time_ms: number;
  gc_stale_time: number;
  unres_qlen_bytes: number;
  unres_qlen: number;
  locktime: number;
  proxy_delay: number;
  proxy_qlen: number;
  anycast_delay: number;
  interval_probe_time_ms: number;
}

const confDefault: Conf = {
  forwarding: 0,
  rp_filter: 0,
  accept_source_route: 1,
  send_redirects: 1,
  accept_redirects: 1,
  secure_redirects: 1,
  shared_media: 1,
  arp_ignore: 0,
  arp_announce: 0,
  arp_filter: 0,
  arp_accept: 0,
  arp_notify: 0,
  arp_evict_nocarrier: 1,
  proxy_arp: 0,
  proxy_arp_pvlan: 0,
  medium_id: 0,
  route_localnet: 0,
  accept_local: 0,
  src_valid_mark: 0,
  drop_unicast_in_l2_multicast: 0,
  drop_gratuitous_arp: 0,
  log_martians: 0,
  mc_forwarding: 0,
  bc_forwarding: 0,
  bootp_relay: 0,
  promote_secondaries: 0,
  ignore_routes_with_linkdown: 0,
  disable_policy: 0,
  disable_xfrm: 0,
  tag: 0,
  force_igmp_version: 0,
};

const neighDefault: NeighConf = {
  mcast_solicit: 3,
  ucast_solicit: 3,
  app_solicit: 0,
  mcast_resolicit: 0,
  retrans_time_ms: 1000,
  delay_first_probe_time: 5,
  base_reachable_time_ms: 30000,
  gc_stale_time: 60,
  unres_qlen_bytes: 212992,
  unres_qlen: 101,
  locktime: 100,
  proxy_delay: 80,
  proxy_qlen: 64,
  anycast_delay: 100,
  interval_probe_time_ms: 5000,
};

/** Everything outside conf and neigh. */
const generalValues: Record<string, number> = {
  "net.ipv4.ip_forward": 0,
  "net.ipv4.ip_default_ttl": 64,
  "net.ipv4.ip_no_pmtu_disc": 0,
  "net.ipv4.ip_forward_use_pmtu": 0,
  "net.ipv4.ip_nonlocal_bind": 0,
  "net.ipv4.ip_early_demux": 1,
  "net.ipv4.ip_dynaddr": 0,
  "net.ipv4.ip_unprivileged_port_start": 1024,
  "net.ipv4.ip_forward_update_priority": 1,
  "net.ipv4.fwmark_reflect": 0,
  "net.ipv4.icmp_ratelimit": 1000,
  "net.ipv4.icmp_ratemask": 6168,
  "net.ipv4.icmp_msgs_per_sec": 10000,
  "net.ipv4.icmp_msgs_burst": 10000,
  "net.ipv4.icmp_echo_ignore_all": 0,
  "net.ipv4.icmp_echo_enable_probe": 0,
  "net.ipv4.icmp_echo_ignore_broadcasts": 1,
  "net.ipv4.icmp_ignore_bogus_error_responses": 1,
  "net.ipv4.icmp_errors_use_inbound_ifaddr": 0,
  "net.ipv4.icmp_errors_extension_mask": 0,
  "net.ipv4.ipfrag_time": 30,
  "net.ipv4.ipfrag_max_dist": 64,
  "net.ipv4.ipfrag_high_thresh": 4194304,
  "net.ipv4.ipfrag_low_thresh": 3145728,
  "net.ipv4.fib_multipath_hash_policy": 0,
  "net.ipv4.fib_multipath_use_neigh": 0,
  "net.ipv4.fib_multipath_hash_fields": 7,
  "net.ipv4.igmp_max_memberships": 20,
  "net.ipv4.tcp_timestamps": 1,
  "net.ipv4.tcp_sack": 1,
  "net.ipv4.tcp_dsack": 1,
  "net.ipv4.tcp_window_scaling": 1,
  "net.ipv4.tcp_ecn": 2,
  "net.ipv4.tcp_syncookies": 1,
  "net.ipv4.tcp_syn_retries": 6,
  "net.ipv4.tcp_synack_retries": 5,
  "net.ipv4.tcp_retries1": 3,
  "net.ipv4.tcp_retries2": 15,
  "net.ipv4.tcp_fin_timeout": 60,
  "net.ipv4.tcp_rfc1337": 0,
  "net.ipv4.tcp_keepalive_time": 7200,
  "net.ipv4.tcp_keepalive_intvl": 75,
  "net.ipv4.tcp_keepalive_probes": 9,
  "net.ipv4.tcp_slow_start_after_idle": 1,
  "net.ipv4.tcp_max_syn_backlog": 512,
  "net.ipv4.tcp_challenge_ack_limit": 2147483647,
  "net.ipv4.tcp_mtu_probing": 0,
  "net.ipv4.tcp_base_mss": 1024,
  "net.ipv4.tcp_min_snd_mss": 48,
  "net.ipv4.tcp_tw_reuse": 2,
  "net.ipv4.tcp_abort_on_overflow": 0,
  "net.ipv4.tcp_early_retrans": 3,
  "net.ipv4.tcp_recovery": 1,
  "net.ipv4.tcp_reordering": 3,
  "net.ipv4.neigh.default.gc_thresh1": 128,
  "net.ipv4.neigh.default.gc_thresh2": 512,
  "net.ipv4.neigh.default.gc_thresh3": 1024,
  "net.ipv4.neigh.default.gc_interval": 30,
  "net.ipv4.route.redirect_number": 9,
  "net.ipv4.route.redirect_load": 5,
  "net.ipv4.route.redirect_silence": 5120,
  "net.ipv4.route.error_cost": 250,
  "net.ipv4.route.error_burst": 1250,
  "net.ipv4.route.min_pmtu": 552,
  "net.ipv4.route.min_adv_mss": 256,
  "net.ipv4.route.mtu_expires": 600,
  "net.bridge.bridge-nf-call-iptables": 1,
  "net.bridge.bridge-nf-call-ip6tables": 1,
  "net.bridge.bridge-nf-call-arptables": 1,
  "net.bridge.bridge-nf-filter-vlan-tagged": 0,
  "net.bridge.bridge-nf-filter-pppoe-tagged": 0,
  "net.bridge.bridge-nf-pass-vlan-input-dev": 0,
  "net.netfilter.nf_conntrack_max": 262144,
  "net.netfilter.nf_conntrack_checksum": 1,
  "net.netfilter.nf_conntrack_acct": 0,
  "net.netfilter.nf_conntrack_timestamp": 0,
  "net.netfilter.nf_conntrack_events": 2,
  "net.netfilter.nf_conntrack_log_invalid": 0,
  "net.netfilter.nf_conntrack_expect_max": 4096,
  "net.netfilter.nf_conntrack_frag6_timeout": 60,
  "net.netfilter.nf_conntrack_tcp_loose": 1,
  "net.netfilter.nf_conntrack_tcp_be_liberal": 0,
  "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst": 0,
  "net.netfilter.nf_conntrack_tcp_max_retrans": 3,
  "net.netfilter.nf_conntrack_tcp_timeout_syn_sent": 120,
  "net.netfilter.nf_conntrack_tcp_timeout_syn_recv": 60,
  "net.netfilter.nf_conntrack_tcp_timeout_established": 432000,
  "net.netfilter.nf_conntrack_tcp_timeout_fin_wait": 120,
  "net.netfilter.nf_conntrack_tcp_timeout_close_wait": 60,
  "net.netfilter.nf_conntrack_tcp_timeout_last_ack": 30,
  "net.netfilter.nf_conntrack_tcp_timeout_time_wait": 120,
  "net.netfilter.nf_conntrack_tcp_timeout_close": 10,
  "net.netfilter.nf_conntrack_tcp_timeout_max_retrans": 300,
  "net.netfilter.nf_conntrack_tcp_timeout_unacknowledged": 300,
  "net.netfilter.nf_conntrack_udp_timeout": 30,
  "net.netfilter.nf_conntrack_udp_timeout_stream": 120,
  "net.netfilter.nf_conntrack_icmp_timeout": 30,
  "net.netfilter.nf_conntrack_generic_timeout": 600,
};

/** Settings that are words or lists. */
const textValues: Record<string, string> = {
  "net.ipv4.tcp_congestion_control": "cubic",
  "net.ipv4.tcp_rmem": "4096\t131072\t33554432",
  "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
  "net.ipv4.ip_local_port_range": "32768\t60999",
  "net.ipv4.ping_group_range": "1\t0",
};

const generalDefault: ReadonlyMap<string, number> = new Map(Object.entries(generalValues));
const textDefault: ReadonlyMap<string, string> = new Map(Object.entries(textValues));

/** Says what a wrong setting was and what was expected. */
export class SysctlError extends Error {}

/**
 * The settings of one device: only what was written is the object's own, the rest is Linux's default, which all share.
 * A network of ten thousand devices has few that were written.
 */
function ConfOf(this: Conf): void {}
ConfOf.prototype = confDefault;
function NeighConfOf(this: NeighConf): void {}
NeighConfOf.prototype = neighDefault;
const newConf = ConfOf as unknown as new () => Conf;
const newNeighConf = NeighConfOf as unknown as new () => NeighConf;

interface DeviceSettings {
  readonly conf: Conf;
  /** `all` has none. */
  readonly neigh: NeighConf | null;
}

/** `net.ipv4.conf.` or `net.ipv4.neigh.` */
const PREFIXES = ["net.ipv4.conf.", "net.ipv4.neigh."] as const;

export interface SysctlWatcher {
  sysctlChanged(name: string, value: number): void;
}

/** What a number outside conf and neigh is until it is written. */
export function sysctlDefault(name: string): number {
  return generalDefault.get(name)!;
}

export class Sysctl {
  /** What was written of `generalDefault` and `textDefault`. */
  private general: Map<string, number> | null = null;
  private text: Map<string, string> | null = null;
  private readonly devices = new Map<string, DeviceSettings>();
  private watchers: readonly SysctlWatcher[] = [];

  constructor() {
    const all = new newConf();
    // source-routed packets are taken where both say so
    all.accept_source_route = 0;
    this.devices.set("all", { conf: all, neigh: null });
    this.devices.set("default", { conf: new newConf(), neigh: new newNeighConf() });
  }

  /** A device comes: it takes over `default`. */
  addDevice(name: string): void {
    const { conf, neigh } = this.devices.get("default")!;
    this.devices.set(name, {
      conf: Object.assign(new newConf(), conf),
      neigh: Object.assign(new newNeighConf(), neigh),
    });
  }

  /** net.ipv4.conf.NAME; the object lives as long as the device, so readers keep it. */
  conf(name: string): Conf {
    const c = this.devices.get(name)?.conf;
    if (c === undefined) throw new SysctlError(`net.ipv4.conf.${name}: no such device`);
    return c;
  }

  neigh(name: string): NeighConf {
    const c = this.devices.get(name)?.neigh ?? null;
    if (c === null) throw new SysctlError(`net.ipv4.neigh.${name}: no such device`);
    return c;
  }

  /** A number outside conf and neigh. */
  get(name: string): number {
    const v = this.general?.get(name) ?? generalDefault.get(name);
    if (v === undefined) throw new SysctlError(`unknown sysctl '${name}'`);
    return v;
  }

  getText(name: string): string {
    const v = this.text?.get(name) ?? textDefault.get(name);
    if (v === undefined) throw new SysctlError(`unknown sysctl '${name}'`);
    return v;
  }

  /** `net.ipv4.conf.eth0.rp_filter` = `2`: any setting, as `sysctl -w` does. */
  set(name: string, value: string | number): void {
    if (textDefault.has(name)) {
      (this.text ??= new Map()).set(name, String(value));
      return;
    }
    const general = generalDefault.has(name);
    const entry = general ? null : this.entry(name);
    if (!general && entry === null) throw new SysctlError(`unknown sysctl '${name}'`);
    const v = typeof value === "number" ? value : Number(value.trim() === "" ? NaN : value);
    if (!Number.isInteger(v)) throw new SysctlError(`${name}: '${value}' is no integer`);
    const forwarded = this.get("net.ipv4.ip_forward");
    if (entry === null) (this.general ??= new Map()).set(name, v);
    else entry[name.slice(name.lastIndexOf(".") + 1)] = v;
    // devinet_sysctl_forward: writing what is there already changes nothing
    if (v !== forwarded) this.follow(name, v);
    for (const w of this.watchers) w.sysctlChanged(name, v);
  }

  /** From now on the watcher hears of settings, after they changed. */
  watch(watcher: SysctlWatcher): void {
    this.watchers = this.watchers.concat([watcher]);
  }

  /** The device's settings that `name` is one of; null when there is no such setting. */
  private entry(name: string): Record<string, number> | null {
    const i = PREFIXES.findIndex((p) => name.startsWith(p));
    if (i < 0) return null;
    // device names may hold dots (eth0.5): the key is what follows the last one
    const dot = name.lastIndexOf(".");
    const key = name.slice(dot + 1);
    if (!Object.hasOwn(i === 0 ? confDefault : neighDefault, key)) return null;
    const device = this.devices.get(name.slice(PREFIXES[i]!.length, Math.max(dot, 0)));
    if (device === undefined) return null;
    return (i === 0 ? device.conf : device.neigh) as Record<string, number> | null;
  }

  /** Settings that write others: forwarding as a whole (inet_forward_change). */
  private follow(name: string, v: number): void {
    if (name === "net.ipv4.ip_forward" || name === "net.ipv4.conf.all.forwarding") {
      (this.general ??= new Map()).set("net.ipv4.ip_forward", v);
      for (const { conf } of this.devices.values()) conf.forwarding = v;
      this.devices.get("all")!.conf.accept_redirects = v === 0 ? 1 : 0;
    }
  }
}
