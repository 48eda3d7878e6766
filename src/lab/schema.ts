// src/lab/schema.ts: the shape of a lab file; what the strings say is checked where they are read.

import { z } from "zod";

const flag = z.union([z.boolean(), z.number(), z.string()]);

const interfaceSchema = z.strictObject({
  mac: z.string().optional(),
  mtu: z.number().int().min(68).max(65535).optional(),
  addresses: z.array(z.string()).optional(),
  up: z.boolean().optional(),
  kind: z.enum(["veth", "bridge"]).optional(),
  ports: z.array(z.string()).optional(),
  bridge: z.record(z.string(), flag).optional(),
  port: z.record(z.string(), flag).optional(),
});

const natChoiceSchema = z.strictObject({
  proto: z.string(),
  src: z.string(),
  dst: z.string(),
  sport_or_id: z.number().int().min(0).max(65535),
  dport: z.number().int().min(0).max(65535),
  new_src: z.string(),
  new_sport_or_id: z.number().int().min(0).max(65535),
});

/** Zone names to master files. */
const zonesSchema = z.record(z.string(), z.string());

const time = z.union([z.string(), z.number()]);
const portNumber = z.number().int().min(1).max(65535);
/** Paths to contents. */
const pagesSchema = z.record(z.string(), z.string());

/** Programs of the web (src/lab/webservices.ts). */
const webSchema = {
  files: z.strictObject({ port: portNumber.optional(), pages: pagesSchema }).optional(),
  app: z
    .strictObject({
      port: portNumber.optional(),
      processes: z.number().int().min(1).max(1000).optional(),
      threads: z.number().int().min(1).max(1000).optional(),
      backlog: z.number().int().min(0).max(65535).optional(),
      work: time.optional(),
      update: time.optional(),
      database: z.string().optional(),
      title: z.string().optional(),
      tls: z.boolean().optional(),
    })
    .optional(),
  proxy: z
    .strictObject({
      port: portNumber.optional(),
      upstreams: z.array(z.string()).min(1),
      pages: pagesSchema.optional(),
      connect_timeout: time.optional(),
      read_timeout: time.optional(),
      tls: z.boolean().optional(),
    })
    .optional(),
  postgres: z
    .strictObject({ port: portNumber.optional(), setup: z.string().optional(), work: time.optional() })
    .optional(),
  compose: z.string().optional(),
};

const serviceSchema = z.strictObject({
  dns: z
    .strictObject({ zones: zonesSchema, listen: z.string().optional(), order: z.enum(["fixed", "cyclic"]).optional() })
    .optional(),
  resolver: z
    .strictObject({
      hints: z.array(z.string()).optional(),
      forward: z.record(z.string(), z.array(z.string()).min(1)).optional(),
      zones: zonesSchema.optional(),
      allow: z.array(z.string()).optional(),
      listen: z.string().optional(),
      mixed_case: z.boolean().optional(),
      cache_size: z.number().int().min(1).optional(),
    })
    .optional(),
  ...webSchema,
});

const nodeSchema = z.strictObject({
  interfaces: z.record(z.string(), z.union([interfaceSchema, z.null()])).optional(),
  routes: z.array(z.string()).optional(),
  rules: z.array(z.string()).optional(),
  neighbours: z.array(z.string()).optional(),
  fdb: z.array(z.string()).optional(),
  sysctl: z.record(z.string(), z.union([z.number(), z.string()])).optional(),
  iptables: z.string().optional(),
  nftables: z.string().optional(),
  listen: z.array(z.string()).optional(),
  nat_choices: z.array(natChoiceSchema).optional(),
  services: z.array(serviceSchema).optional(),
  hosts: z.string().optional(),
  resolv_conf: z.string().optional(),
});

const linkSchema = z.strictObject({
  endpoints: z.array(z.string()).length(2),
  netem: z.union([z.string(), z.array(z.string()).length(2)]).optional(),
});

const sendSchema = z.strictObject({
  proto: z.string(),
  src: z.string().optional(),
  sport: z.number().int().min(0).max(65535).optional(),
  dst: z.string(),
  dport: z.number().int().min(0).max(65535).optional(),
  ttl: z.number().int().min(1).max(255).optional(),
  payload: z.string().optional(),
});

const eventSchema = z.strictObject({
  at: z.union([z.string(), z.number()]),
  node: z.string(),
  run: z.array(z.string()).optional(),
  listen: z.array(z.string()).optional(),
  send: sendSchema.optional(),
});

export const labSchema = z.strictObject({
  nodes: z.record(z.string(), z.union([nodeSchema, z.null()])),
  links: z.array(linkSchema).optional(),
  timeline: z.array(eventSchema).optional(),
  internet: z
    .strictObject({
      seed: z.number().int().optional(),
      systems: z.number().int().optional(),
      prefixes: z.number().int().optional(),
      table: z.string().optional(),
      attach: z
        .record(
          z.string(),
          z.strictObject({ as: z.number().int(), interface: z.string().optional(), delay: time.optional() }),
        )
        .optional(),
    })
    .optional(),
  journey: z.strictObject({ from: z.string(), url: z.string().optional() }).optional(),
});

/** A lab file as it is written. */
export type LabFile = z.infer<typeof labSchema>;
export type NodeFile = z.infer<typeof nodeSchema>;
export type InterfaceFile = z.infer<typeof interfaceSchema>;
export type ServiceFile = z.infer<typeof serviceSchema>;
/** The programs that `services` can name. */
export const serviceKinds: readonly string[] = Object.keys(serviceSchema.shape);
export type SendFile = z.infer<typeof sendSchema>;
export type EventFile = z.infer<typeof eventSchema>;
