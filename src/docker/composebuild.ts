// src/docker/composebuild.ts: a Compose file becomes a world: a host with an engine and its containers, and, if wanted, somebody
// outside who opens its ports.
//
//     client eth0 203.0.113.10 -- 203.0.113.1 eth0 router eth1 198.51.100.1 -- 198.51.100.20 eth0 host -- bridges -- containers

import type { Core } from "../core/core.ts";
import { Namespace } from "../host/namespace.ts";
import { parseNetem } from "../host/netemwords.ts";
import { newWorld } from "../link/newworld.ts";
import { connect, type Link } from "../link/wire.ts";
import type { World } from "../link/world.ts";
import type { Compose, ComposeService } from "./compose.ts";
import type { Container } from "./container.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { randomMac } from "./ids.ts";
import { type Image, Images, type Process } from "./images.ts";
import { whoami } from "./whoami.ts";

export const HOST_ADDRESS = "198.51.100.20";
/** One way: through a provider's network, and within a data centre. */
const DELAYS = { access: "5ms", centre: "100us" } as const;
export const CLIENT_ADDRESS = "203.0.113.10";

export interface ComposeBuildOptions {
  readonly seed?: number;
  readonly engine?: EngineOptions;
  /** What `image` may name; default `builtInImages()`. */
  readonly images?: Images;
  /** Containers of images that nobody knows stand empty, instead of an error. */
  readonly anyImage?: boolean;
  /** Runs a service's `x-wirepath`; without it the key is refused. */
  readonly program?: (file: string, container: Container) => Process;
  /** A client and a router outside. Default true. */
  readonly outside?: boolean;
  /** Takes the place of the whole outside: the host's own namespace, connected by whoever made it. */
  readonly host?: Namespace;
}

export interface ComposeWorld {
  readonly world: World;
  readonly engine: Engine;
  readonly host: Namespace;
  /** Null without an outside. */
  readonly client: Namespace | null;
  /** Every namespace by name: client, router, host, containers. */
  readonly nodes: ReadonlyMap<string, Namespace>;
  readonly links: readonly Link[];
  /** In the order of the start, by service. */
  readonly containers: ReadonlyMap<string, readonly Container[]>;
}

/** The images that come along. */
export function builtInImages(): Images {
  return new Images().register("whoami", whoami).register("traefik/whoami", whoami);
}

/** Builds and starts what the file says. What cannot be done throws `ComposeError` at the service or network concerned. */
export function buildCompose(core: Core, compose: Compose, options: ComposeBuildOptions = {}): ComposeWorld {
  const world = options.host?.world ?? newWorld(core, options);
  const nodes = new Map<string, Namespace>();
  const links: Link[] = [];
  const host = options.host ?? new Namespace("host", world);
  const outside = options.host === undefined && options.outside !== false;
  if (outside) makeOutside(host, nodes, links);
  nodes.set(host.name, host);
  const engine = new Engine(host, options.engine);
  const images = options.images ?? builtInImages();
  const containers = new Map<string, Container[]>();
  engine.firewall.together(() => {
    for (const n of compose.networks) compose.within(n.at, () => void engine.createNetwork(n.name, n.options));
    for (const service of compose.services) {
      const image = imageOf(compose, service, images, options);
      const made: Container[] = [];
      for (const name of service.containers) {
        const container = compose.within(service.at, () =>
          engine.run(name, {
            ...(service.image === null ? {} : { imageName: service.image }),
            ...(image === null ? {} : { image }),
            command: service.command,
            environment: service.environment,
            ...(service.hostname === null ? {} : { hostname: service.hostname }),
            networks: service.networks,
            mode: service.mode,
            publish: service.publish,
            expose: service.expose,
            extraHosts: service.extraHosts,
            ...(service.dns === null ? {} : { dns: service.dns }),
            labels: { "com.docker.compose.project": compose.project, "com.docker.compose.service": service.name },
          }),
        );
        if (service.mode !== "host") nodes.set(container.name, container.ns!);
        made.push(container);
      }
      containers.set(service.name, made);
    }
  });
  return { world, engine, host, client: nodes.get("client") ?? null, nodes, links, containers };
}

function imageOf(
  compose: Compose,
  service: ComposeService,
  images: Images,
  options: ComposeBuildOptions,
): Image | null {
  const { program } = service;
  if (program !== null) {
    const run = options.program;
    if (run === undefined) throw compose.errorAtKey([...service.at, "x-wirepath"], "programs cannot be run here");
    return { exposes: [], start: (container) => run(program, container) };
  }
  if (service.image === null) return null;
  const found = images.find(service.image);
  if (found === null && options.anyImage !== true) {
    throw compose.error(
      [...service.at, "image"],
      `image '${service.image}': no program of that name comes along, expected one of ${images.names.join(", ")}, ` +
        "or x-wirepath with a program of yours",
    );
  }
  return found;
}

function makeOutside(host: Namespace, nodes: Map<string, Namespace>, links: Link[]): void {
  const { world } = host;
  const client = new Namespace("client", world);
  const router = new Namespace("router", world);
  nodes.set("client", client);
  nodes.set("router", router);
  const wire = (a: Namespace, aDev: string, b: Namespace, bDev: string, delay: string): void => {
    const [x, y] = [
      a.addInterface(aDev, "veth", randomMac(a.name, aDev), 1500),
      b.addInterface(bDev, "veth", randomMac(b.name, bDev), 1500),
    ];
    const link = connect(x, y);
    for (const end of [x, y]) link.setNetem(end, parseNetem(`delay ${delay}`));
    links.push(link);
  };
  wire(client, "eth0", router, "eth0", DELAYS.access);
  wire(router, "eth1", host, "eth0", DELAYS.centre);
  client.fib.command(`addr add ${CLIENT_ADDRESS}/24 dev eth0`);
  router.fib.command("addr add 203.0.113.1/24 dev eth0");
  router.fib.command("addr add 198.51.100.1/24 dev eth1");
  host.fib.command(`addr add ${HOST_ADDRESS}/24 dev eth0`);
  router.sysctl.set("net.ipv4.ip_forward", 1);
  client.fib.command("route add default via 203.0.113.1");
  host.fib.command("route add default via 198.51.100.1");
}
