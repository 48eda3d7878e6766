// src/link/backlog.ts: frames on their way to a device at this instant (Linux's per-CPU backlog).
// A chain of hosts that answer each other must not become a chain of calls: what is sent is queued here, and
// whoever finds the queue idle drains it.

import type { Frame } from "../core/core.ts";
import type { Node } from "./world.ts";

const COMPACT = 4096;

/** The arrays only grow: what was delivered is overwritten, so that a frame costs no memory. */
export class Backlog {
  private readonly nodes: Node[] = [];
  private readonly ports: number[] = [];
  private readonly frames: Frame[] = [];
  /** The next to deliver, and one past the last. */
  private head = 0;
  private tail = 0;
  private draining = false;

  /** Hands the frame to the node after everything queued before it. */
  push(node: Node, port: number, frame: Frame): void {
    const i = this.tail++;
    this.nodes[i] = node;
    this.ports[i] = port;
    this.frames[i] = frame;
    if (!this.draining) this.drain();
  }

  /** Nothing waits behind the frame that is being delivered. */
  get idle(): boolean {
    return this.head === this.tail;
  }

  /** While `work` runs, what is sent waits; then it is delivered in order. */
  hold(work: () => void): void {
    if (this.draining) return work();
    this.draining = true;
    try {
      work();
    } finally {
      this.draining = false;
      this.drain();
    }
  }

  /** The same as `hold` for whoever wants no closure: true: `leave` is owed. */
  enter(): boolean {
    if (this.draining) return false;
    this.draining = true;
    return true;
  }

  /** Delivers what was sent since `enter` answered true. */
  leave(): void {
    this.draining = false;
    this.drain();
  }

  /** What waits is not delivered: the world is only looked at from now on (`Halt`). */
  halt(): void {
    this.head = this.tail = 0;
  }

  private drain(): void {
    this.draining = true;
    try {
      while (this.head < this.tail) {
        const i = this.head++;
        this.nodes[i]!.receive(this.ports[i]!, this.frames[i]!);
        if (this.head === this.tail) this.head = this.tail = 0;
        else if (this.head === COMPACT) this.compact();
      }
    } finally {
      this.draining = false;
    }
  }

  private compact(): void {
    this.nodes.copyWithin(0, this.head, this.tail);
    this.ports.copyWithin(0, this.head, this.tail);
    this.frames.copyWithin(0, this.head, this.tail);
    this.tail -= this.head;
    this.head = 0;
  }
}
