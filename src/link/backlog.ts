// src/link/backlog.ts: frames on their way to a device at this instant (Linux's per-CPU backlog).
// A chain of hosts that answer each other must not become a chain of calls: what is sent is queued here, and
// whoever finds the queue idle drains it.

import type { Frame } from "../core/core.ts";
import type { Node } from "./world.ts";

export class Backlog {
  private readonly nodes: Node[] = [];
  private readonly ports: number[] = [];
  private readonly frames: Frame[] = [];
  private head = 0;
  private draining = false;

  /** Hands the frame to the node after everything queued before it. */
  push(node: Node, port: number, frame: Frame): void {
    this.nodes.push(node);
    this.ports.push(port);
    this.frames.push(frame);
    if (!this.draining) this.drain();
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

  private drain(): void {
    this.draining = true;
    try {
      while (this.head < this.frames.length) {
        const i = this.head++;
        this.nodes[i]!.receive(this.ports[i]!, this.frames[i]!);
        if (this.head === this.frames.length) this.clear();
        else if (this.head === 4096) this.compact();
      }
    } finally {
      this.draining = false;
    }
  }

  private clear(): void {
    this.head = this.frames.length = this.nodes.length = this.ports.length = 0;
  }

  private compact(): void {
    this.nodes.splice(0, this.head);
    this.ports.splice(0, this.head);
    this.frames.splice(0, this.head);
    this.head = 0;
  }
}
