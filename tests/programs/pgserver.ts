// tests/programs/pgserver.ts: a real Postgres (PGlite) behind node:net: what makes it a server is the protocol's framing.

import { createServer, type Server, type Socket } from "node:net";
import type { PGlite } from "@electric-sql/pglite";

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;

/** Serves one database to many connections: PGlite has one session, so transactions are taken in turn. */
export function postgres(db: PGlite): Server {
  let turn: Promise<unknown> = Promise.resolve();
  return createServer((socket) => {
    void serve(db, socket, (work) => {
      const mine = turn.then(work);
      turn = mine.catch(() => undefined);
      return mine;
    });
  });
}

async function serve(
  db: PGlite,
  socket: Socket,
  exclusively: (work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  let started = false;
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      for (;;) {
        // a first message has no type
        const at = started ? 1 : 0;
        if (rest.length < at + 4) break;
        const length = at + rest.readUInt32BE(at);
        if (rest.length < length) break;
        const message = Uint8Array.from(rest.subarray(0, length));
        rest = rest.subarray(length);
        if (!started) {
          const code = Buffer.from(message).readUInt32BE(4);
          if (code === CANCEL_REQUEST) return void socket.end();
          if (code === SSL_REQUEST || code === GSS_REQUEST) {
            socket.write("N");
            continue;
          }
          started = true;
        } else if (message[0] === "X".charCodeAt(0)) return void socket.end();
        await exclusively(async () => {
          socket.write(await db.execProtocolRaw(message));
        });
      }
    }
  } catch (e) {
    if (!socket.destroyed) socket.destroy(e as Error);
  }
}
