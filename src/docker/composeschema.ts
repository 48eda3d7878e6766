// src/docker/composeschema.ts: the shape of a Compose file as far as a network is concerned (Compose Specification). What the
// strings say is checked where they are read; which other keys there may be stands below.

import { z } from "zod";

/** YAML's own kinds, and what interpolation left as a string. */
const scalar = z.union([z.string(), z.number(), z.boolean()]);
const flag = z.union([z.boolean(), z.enum(["true", "false"])]);
const number = z.union([z.number(), z.string()]);
const strings = z.array(z.string());
const stringOrList = z.union([z.string(), strings]);
/** `{ A: 1 }` or `[A=1]` */
const pairs = z.union([z.record(z.string(), z.union([scalar, z.null()])), z.array(scalar)]);

const longPort = z.strictObject({
  target: number,
  published: number.optional(),
  host_ip: z.string().optional(),
  protocol: z.string().optional(),
  app_protocol: z.string().optional(),
  mode: z.enum(["host", "ingress"]).optional(),
  name: z.string().optional(),
});

const serviceNetwork = z.strictObject({
  aliases: strings.optional(),
  ipv4_address: z.string().optional(),
  mac_address: z.string().optional(),
  priority: number.optional(),
  gw_priority: number.optional(),
});

const dependency = z.strictObject({
  condition: z.enum(["service_started", "service_healthy", "service_completed_successfully"]).optional(),
  restart: flag.optional(),
  required: flag.optional(),
});

const service = z.looseObject({
  image: z.string().optional(),
  ports: z.array(z.union([z.string(), z.number(), longPort])).optional(),
  expose: z.array(z.union([z.string(), z.number()])).optional(),
  networks: z.union([strings, z.record(z.string(), z.union([serviceNetwork, z.null()]))]).optional(),
  network_mode: z.string().optional(),
  depends_on: z.union([strings, z.record(z.string(), dependency)]).optional(),
  environment: pairs.optional(),
  env_file: z.unknown().optional(),
  container_name: z.string().optional(),
  hostname: z.string().optional(),
  command: z.union([stringOrList, z.null()]).optional(),
  extra_hosts: z.union([strings, z.record(z.string(), stringOrList)]).optional(),
  dns: stringOrList.optional(),
  mac_address: z.string().optional(),
  scale: number.optional(),
  deploy: z.looseObject({ replicas: number.optional() }).optional(),
  profiles: strings.optional(),
  "x-wirepath": z.string().optional(),
});

const ipamConfig = z.strictObject({
  subnet: z.string().optional(),
  gateway: z.string().optional(),
  ip_range: z.string().optional(),
  aux_addresses: z.record(z.string(), z.string()).optional(),
});

const network = z.looseObject({
  name: z.string().optional(),
  driver: z.string().optional(),
  driver_opts: z.record(z.string(), scalar).optional(),
  ipam: z
    .strictObject({
      driver: z.string().optional(),
      config: z.array(ipamConfig).optional(),
      options: z.record(z.string(), scalar).optional(),
    })
    .optional(),
  internal: flag.optional(),
  external: z.union([flag, z.looseObject({})]).optional(),
  enable_ipv4: flag.optional(),
  enable_ipv6: flag.optional(),
});

export const composeSchema = z.looseObject({
  name: z.string().optional(),
  services: z.record(z.string(), z.union([service, z.null()])),
  networks: z.record(z.string(), z.union([network, z.null()])).optional(),
});

export type ComposeFile = z.infer<typeof composeSchema>;
export type ServiceFile = z.infer<typeof service>;
export type ServiceNetworkFile = z.infer<typeof serviceNetwork>;
export type NetworkFile = z.infer<typeof network>;

/** Keys that mean something here. */
export const usedKeys: Readonly<Record<"top" | "service" | "network", ReadonlySet<string>>> = {
  top: new Set(Object.keys(composeSchema.shape)),
  service: new Set(Object.keys(service.shape)),
  network: new Set(Object.keys(network.shape)),
};

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Keys that are known and change nothing on the network: they are accepted, with a note. */
export const quietKeys: typeof usedKeys = {
  top: words("version volumes configs secrets"),
  service: words(`
    annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent configs cpu_count cpu_percent cpu_period
    cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec develop device_cgroup_rules devices entrypoint
    gpus group_add healthcheck init ipc isolation labels label_file logging mem_limit mem_reservation mem_swappiness memswap_limit
    oom_kill_disable oom_score_adj pid pids_limit platform post_start pre_stop privileged pull_policy read_only restart runtime
    secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt tmpfs tty ulimits user userns_mode
    use_api_socket volumes volumes_from working_dir`),
  network: words("attachable labels"),
};

/** Keys of the specification that would change the network, and that are not emulated. */
export const refusedKeys: typeof usedKeys = {
  top: words("include models"),
  service: words("dns_opt dns_search domainname extends external_links links models provider sysctls uts"),
  network: words(""),
};
