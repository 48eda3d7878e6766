// src/docker/error.ts: what the engine refuses.

/** The daemon's answer to a request that cannot be done, in its words where it has words for it. */
export class DockerError extends Error {}
