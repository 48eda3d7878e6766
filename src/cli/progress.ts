// src/cli/progress.ts: a bar on stderr for what takes long, on a terminal only.

const WIDTH = 30;
/** What is done sooner needs no bar. */
const PATIENCE_MS = 250;
const REDRAW_MS = 80;

export class Progress {
  private readonly shows = process.stderr.isTTY === true;
  private since = performance.now();
  private drawnAt = 0;
  private label = "";
  private drawn = false;

  /** `done`: 0 ... 1 of the work that `label` names; NaN: nobody knows how much there is. */
  readonly show = (label: string, done: number): void => {
    if (!this.shows) return;
    const now = performance.now();
    if (label !== this.label) {
      this.label = label;
      this.since = now;
      this.clear();
    }
    if (now - this.since < PATIENCE_MS || now - this.drawnAt < REDRAW_MS) return;
    this.drawnAt = now;
    this.drawn = true;
    if (Number.isNaN(done)) {
      process.stderr.write(`\r${label} ...\u001b[K`);
      return;
    }
    const full = Math.round(Math.min(1, done) * WIDTH);
    process.stderr.write(
      `\r${label} [${"#".repeat(full)}${" ".repeat(WIDTH - full)}] ${Math.floor(Math.min(1, done) * 100)} %\u001b[K`,
    );
  };

  /** Takes the bar away. */
  clear(): void {
    if (this.drawn) process.stderr.write("\r\u001b[K");
    this.drawn = false;
  }

  /** The chunks of a file with a bar for how much of its `size` bytes was read. */
  async *over(
    source: AsyncIterable<Uint8Array>,
    label: string,
    size: number,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let read = 0;
    for await (const chunk of source) {
      this.show(label, size > 0 ? read / size : NaN);
      read += chunk.length;
      yield chunk;
    }
  }
}
