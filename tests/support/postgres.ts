// tests/support/postgres.ts: PGlite behind a socket: the frontend's messages, one at a time, and what it answers.

import type { PGlite } from "@electric-sql/pglite";

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;

interface Stream {
  on(event: "data", listener: (bytes: Buffer) => void): unknown;
  on(event: "error" | "close", listener: () => void): unknown;
  write(bytes: Uint8Array | string): unknown;
  end(): unknown;
}

/** Serves sessions of one database; they take turns message by message. */
export class PostgresServer {
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly db: PGlite) {}

  /** A `connection` listener. */
  readonly serve = (socket: Stream): void => {
    let held = Buffer.alloc(0);
    let started = false;
    let open = true;
    socket.on("close", () => (open = false));
    socket.on("error", () => (open = false));
    socket.on("data", (bytes) => {
      held = Buffer.concat([held, bytes]);
      for (;;) {
        // the first message has no type in front of its length
        const head = started ? 1 : 0;
        if (held.length < head + 4) return;
        const length = head + held.readUInt32BE(head);
        if (held.length < length) return;
        const message = held.subarray(0, length);
        held = held.subarray(length);
        if (!started) {
          const code = message.readUInt32BE(4);
          if (code === SSL_REQUEST || code === GSS_REQUEST) {
            socket.write("N");
            continue;
          }
          started = true;
        } else if (message[0] === 0x58) {
          // Terminate
          socket.end();
          return;
        }
        this.turn = this.turn.then(async () => {
          const answer = await this.db.execProtocolRaw(message);
          if (open) socket.write(answer);
        });
      }
    });
  };
}
