#!/usr/bin/env node
// src/cli/main.ts: the `wirepath` command. Status 0: done; 1: it ran and the answer is no; 2: it could not run.

import { type Command, Failure } from "./command.ts";

const commands: Record<string, { summary: string; load: () => Promise<Command> }> = {
  demo: {
    summary: "a GET through a published port, hop by hop, beside the real kernel",
    load: async () => (await import("./demo.ts")).command,
  },
  journey: {
    summary: "a URL is opened: name, routers, translations, containers, database, and back",
    load: async () => (await import("./journey.ts")).command,
  },
  replay: { summary: "one node of a lab fed with a capture", load: async () => (await import("./replay.ts")).command },
  run: { summary: "a lab in virtual time", load: async () => (await import("./run.ts")).command },
  repl: {
    summary: "a lab stepped through, forward and back, layer by layer",
    load: async () => (await import("./repl.ts")).command,
  },
  step: {
    summary: "a capture's packets stepped through, each byte with its meaning",
    load: async () => (await import("./step.ts")).command,
  },
  up: {
    summary: "a Compose file's containers on a host with Docker's networks, rules and names",
    load: async () => (await import("./up.ts")).command,
  },
  decode: { summary: "frames of a capture as text or JSON", load: async () => (await import("./decode.ts")).command },
  flows: { summary: "packets of captures grouped into flows", load: async () => (await import("./flows.ts")).command },
  routes: {
    summary: "which route wins and why, what two tables disagree on",
    load: async () => (await import("./routes.ts")).command,
  },
  subnet: {
    summary: "networks, masks and their arithmetic, bit by bit",
    load: async () => (await import("./subnet.ts")).command,
  },
  "parse-http": {
    summary: "the HTTP/1.x parser alone, over JSON lines",
    load: async () => (await import("./parse-http.ts")).command,
  },
  drive: {
    summary: "a host stack driven from outside in virtual time, over JSON lines",
    load: async () => (await import("./drive.ts")).command,
  },
  bench: {
    summary: "the figures, with peers side by side where they are installed",
    load: async () => (await import("./bench.ts")).command,
  },
};

const width = 12;

function help(): string {
  const rows = Object.entries(commands).map(([name, c]) => `  ${name.padEnd(width)} ${c.summary}`);
  return `wirepath: a whole web service in one process, made of real bytes\n\nusage: wirepath COMMAND [WORDS...]      (wirepath COMMAND --help tells more)\n\n${rows.join("\n")}\n`;
}

async function main(words: string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(help());
    return 0;
  }
  if (name === "--version") {
    const { version } = await import("./version.ts");
    process.stdout.write(`wirepath ${version()}\n`);
    return 0;
  }
  const known = Object.hasOwn(commands, name) ? commands[name]! : null;
  if (known === null)
    throw new Failure(`unknown command '${name}', expected one of: ${Object.keys(commands).join(", ")}`);
  const command = await known.load();
  if (rest.includes("--help") || rest.includes("-h")) {
    process.stdout.write(command.help);
    return 0;
  }
  return command.run(rest);
}

// a reader that went away (`| head`) is no error
process.stdout.on("error", (e: NodeJS.ErrnoException) => {
  if (e.code === "EPIPE") process.exit(0);
  throw e;
});

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (e: unknown) => {
    const expected = e instanceof Failure || (e instanceof Error && "code" in e && typeof e.code === "string");
    if (!expected && process.env["WIREPATH_DEBUG"] !== undefined) console.error(e);
    process.stderr.write(`wirepath: ${e instanceof Error ? e.message.split("\n")[0] : String(e)}\n`);
    process.exitCode = 2;
  },
);
