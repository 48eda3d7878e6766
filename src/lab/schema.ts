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
});

/** A lab file as it is written. */
export type LabFile = z.infer<typeof labSchema>;
export type NodeFile = z.infer<typeof nodeSchema>;
export type InterfaceFile = z.infer<typeof interfaceSchema>;
export type ServiceFile = z.infer<typeof serviceSchema>;
export type SendFile = z.infer<typeof sendSchema>;
export type EventFile = z.infer<typeof eventSchema>;
