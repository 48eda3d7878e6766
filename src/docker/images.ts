// src/docker/images.ts: what `image` may name: programs of ours, by the image's name without registry and tag.

import type { Container } from "./container.ts";

/** What runs in a container. */
export interface Process {
  /** The container stops: sockets are to be closed. */
  stop(): void;
}

export interface Image {
  /** What the image says about ports (EXPOSE): `80/tcp`. */
  readonly exposes: readonly string[];
  /** Starts its program in the container, whose namespace, environment and command are there. */
  start(container: Container): Process;
}

/** The images that are known. Names are as on Docker Hub, without registry, `library/`, tag and digest. */
export class Images {
  private readonly known = new Map<string, Image>();

  register(name: string, image: Image): this {
    this.known.set(name, image);
    return this;
  }

  /** `nginx`, `nginx:1.27-alpine`, `docker.io/library/nginx@sha256:...`; null when no such image is known. */
  find(reference: string): Image | null {
    const name = imageName(reference);
    return this.known.get(name) ?? this.known.get(name.slice(name.lastIndexOf("/") + 1)) ?? null;
  }

  get names(): string[] {
    return [...this.known.keys()].toSorted();
  }
}

/** The name in a reference, without what says where it comes from and which version it is. */
export function imageName(reference: string): string {
  const bare = reference.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
  const first = bare.slice(0, Math.max(0, bare.indexOf("/")));
  const path = /[.:]/.test(first) || first === "localhost" ? bare.slice(first.length + 1) : bare;
  return path.replace(/^library\//, "");
}
