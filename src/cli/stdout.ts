// src/cli/stdout.ts: output in blocks; a slow reader slows the command down.

import { ByteWriter } from "./byte-writer.ts";

const BLOCK = 256 * 1024;

export class Stdout {
  readonly out = new ByteWriter(BLOCK * 2);

  /** Writes what was appended once there is enough of it. Answers a promise only then. */
  settle(): Promise<void> | null {
    return this.out.at >= BLOCK ? this.flush() : null;
  }

  async line(text: string): Promise<void> {
    this.out.text(text);
    this.out.reserve(1);
    this.out.byte(10);
    if (this.out.at >= BLOCK) await this.flush();
  }

  /** Writes all that was appended and waits until the system has it. */
  async flush(): Promise<void> {
    const { out } = this;
    if (out.at === 0) return;
    const bytes = out.bytes.subarray(0, out.at);
    await new Promise<void>((done, fail) => {
      process.stdout.write(bytes, (e) => (e ? fail(e) : done()));
    });
    out.at = 0;
  }
}
