// tests/programs/resp.ts: a small Redis: enough of RESP2 and of its commands for a client to live with.

import { createServer, type Server, type Socket } from "node:net";

type Reply = string | number | null | Error | Reply[] | { simple: string };

/** GET SET DEL INCR EXPIRE TTL LPUSH LRANGE PUBLISH SUBSCRIBE MULTI EXEC PING INFO CLIENT. */
export function redis(): Server {
  const values = new Map<string, string | string[]>();
  const deadlines = new Map<string, number>();
  const subscribers = new Map<string, Set<Socket>>();

  const expire = (key: string): void => {
    if ((deadlines.get(key) ?? Infinity) > Date.now()) return;
    values.delete(key);
    deadlines.delete(key);
  };

  const run = (socket: Socket, [name, ...args]: string[]): Reply => {
    const [key = "", value = ""] = args;
    expire(key);
    switch (name!.toUpperCase()) {
      case "PING":
        return { simple: "PONG" };
      case "INFO":
        return "redis_version:7.0.0\r\nloading:0\r\n";
      case "CLIENT":
      case "SELECT":
        return { simple: "OK" };
      case "SET":
        values.set(key, value);
        return { simple: "OK" };
      case "GET":
        return (values.get(key) as string | undefined) ?? null;
      case "DEL":
        return args.filter((k) => values.delete(k)).length;
      case "INCR": {
        const n = Number(values.get(key) ?? 0) + 1;
        if (Number.isNaN(n)) return new Error("ERR value is not an integer or out of range");
        values.set(key, String(n));
        return n;
      }
      case "EXPIRE":
        deadlines.set(key, Date.now() + Number(value) * 1000);
        return values.has(key) ? 1 : 0;
      case "TTL":
        if (!values.has(key)) return -2;
        return deadlines.has(key) ? Math.ceil((deadlines.get(key)! - Date.now()) / 1000) : -1;
      case "LPUSH": {
        const list = (values.get(key) as string[] | undefined) ?? [];
        values.set(key, [...args.slice(1).toReversed(), ...list]);
        return list.length + args.length - 1;
      }
      case "LRANGE":
        return ((values.get(key) as string[] | undefined) ?? []).slice(Number(value), Number(args[2]) + 1 || undefined);
      case "SUBSCRIBE": {
        const set = subscribers.get(key) ?? new Set();
        subscribers.set(key, set.add(socket));
        socket.once("close", () => set.delete(socket));
        return ["subscribe", key, 1];
      }
      case "PUBLISH": {
        const set = subscribers.get(key) ?? new Set();
        for (const s of set) s.write(encode(["message", key, value]));
        return set.size;
      }
      default:
        return new Error(`ERR unknown command '${name}'`);
    }
  };

  return createServer((socket) => {
    let rest = Buffer.alloc(0);
    let queued: string[][] | null = null;
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const parsed = parse(rest);
        if (parsed === null) return;
        rest = rest.subarray(parsed.length);
        const command = parsed.words;
        const name = command[0]!.toUpperCase();
        if (name === "QUIT") return void socket.end("+OK\r\n");
        if (name === "MULTI") {
          queued = [];
          socket.write("+OK\r\n");
        } else if (name === "EXEC") {
          const all = queued ?? [];
          queued = null;
          socket.write(encode(all.map((c) => run(socket, c))));
        } else if (queued !== null) {
          queued.push(command);
          socket.write("+QUEUED\r\n");
        } else socket.write(encode(run(socket, command)));
      }
    });
  });
}

/** `*2\r\n$3\r\nGET\r\n$1\r\na\r\n`; null while it is not whole. */
function parse(bytes: Buffer): { words: string[]; length: number } | null {
  let at = 0;
  const number = (): number | null => {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) return null;
    const n = Number(bytes.toString("latin1", at + 1, end));
    at = end + 2;
    return n;
  };
  const count = number();
  if (count === null) return null;
  const words: string[] = [];
  for (let i = 0; i < count; i++) {
    const n = number();
    if (n === null || bytes.length < at + n + 2) return null;
    words.push(bytes.toString("utf8", at, at + n));
    at += n + 2;
  }
  return { words, length: at };
}

function encode(reply: Reply): string {
  if (reply === null) return "$-1\r\n";
  if (typeof reply === "number") return `:${reply}\r\n`;
  if (typeof reply === "string") return `$${Buffer.byteLength(reply)}\r\n${reply}\r\n`;
  if (reply instanceof Error) return `-${reply.message}\r\n`;
  if (Array.isArray(reply)) return `*${reply.length}\r\n${reply.map(encode).join("")}`;
  return `+${reply.simple}\r\n`;
}
