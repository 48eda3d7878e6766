// src/node/bench/env.ts: where a benchmark runs: its sizes, its temporary files, the programs beside it.

import { execFile, spawn, spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { packageFile } from "../package.ts";
import { Absent, type Figure, measure, type Peer, type Result } from "./measure.ts";

export interface EnvOptions {
  /** Sizes that take no time, for a look at the output's shape; the figures then mean nothing. */
  readonly quick: boolean;
  readonly runs: number;
  /** Whether a row is asked for. */
  readonly wants: (row: string) => boolean;
  /** A routing table in place of the generated one. */
  readonly table: string | null;
  readonly onResult: (r: Result) => void;
}

/** A group of rows that share their data. */
export interface Suite {
  readonly name: string;
  readonly summary: string;
  /** All rows' names, each beginning with the suite's. */
  readonly rows: readonly string[];
  readonly run: (env: Env) => Promise<void>;
}

export interface CompileOptions {
  /** A library's name for pkg-config. */
  readonly library?: string;
  readonly define?: string;
  /** Of the program; the source's without it. */
  readonly name?: string;
}

/** Longest that one answer of a peer may take. */
const PATIENCE = 120_000;

export class Env {
  readonly dir = mkdtempSync(join(tmpdir(), "wirepath-bench-"));
  private readonly cleanups: (() => void)[] = [];
  private closed = false;
  private readonly binaries = new Map<string, Promise<string>>();

  constructor(readonly options: EnvOptions) {
    process.on("exit", this.close);
    for (const s of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(s, this.onSignal);
  }

  get quick(): boolean {
    return this.options.quick;
  }

  /** `full`, or `small` when only the shape of the output is wanted. */
  size(full: number, small: number): number {
    return this.quick ? small : full;
  }

  wants(row: string): boolean {
    return this.options.wants(row);
  }

  async measure(figure: Figure): Promise<void> {
    this.options.onResult(await measure(figure, this.options.runs));
  }

  /** Done in any case at the end, last first; must not fail. */
  atEnd(what: () => void): void {
    this.cleanups.push(what);
  }

  /** Gives everything back: processes, namespaces, files. */
  readonly close = (): void => {
    if (this.closed) return;
    this.closed = true;
    process.off("exit", this.close);
    for (const s of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(s, this.onSignal);
    for (const what of this.cleanups.toReversed()) what();
    rmSync(this.dir, { recursive: true, force: true });
  };

  private readonly onSignal = (): void => {
    this.close();
    process.exit(130);
  };

  /** A path for a temporary file. */
  file(name: string): string {
    return join(this.dir, name);
  }

  /** Compiles `bench/SOURCE` with gcc for this machine and answers the program's path. What is missing is an `Absent`. */
  compile(source: string, options: CompileOptions = {}): Promise<string> {
    const name = options.name ?? source.replace(/\.c$/, "");
    let made = this.binaries.get(name);
    if (made === undefined) this.binaries.set(name, (made = this.build(source, name, options)));
    return made;
  }

  private async build(source: string, name: string, { library, define }: CompileOptions): Promise<string> {
    const gcc = tool("gcc");
    let flags: string[] = [];
    if (library !== undefined) {
      const r = spawnSync(tool("pkg-config"), ["--cflags", "--libs", library], { encoding: "utf8" });
      if (r.status !== 0) throw new Absent(`${library}: not installed`);
      flags = r.stdout.split(/\s+/).filter((w) => w !== "");
    }
    if (define !== undefined) flags.push(`-D${define}`);
    const out = this.file(name);
    const words = ["-O3", "-march=native", "-std=gnu11", "-o", out, packageFile(`bench/${source}`), ...flags];
    const r = await output(gcc, words);
    if (r.status !== 0)
      throw new Absent(`bench/${source} does not compile: ${r.stderr.split("\n").find((l) => /error/.test(l)) ?? ""}`);
    return out;
  }

  /** Starts a program that answers each line with a line; it ends with the benchmark. */
  start(path: string, words: readonly string[]): LineProgram {
    const program = new LineProgram(path, words);
    this.atEnd(() => program.close());
    return program;
  }

  /** A peer; where something is missing, one that says so. */
  async peer(name: string, make: () => Promise<Omit<Peer, "name">>): Promise<Peer> {
    try {
      return { name, ...(await make()) };
    } catch (e) {
      return {
        name,
        run() {
          throw e;
        },
      };
    }
  }
}

/** The path of a program, looked for as a shell does, and where Debian keeps those for root; else `Absent`. */
export function tool(name: string): string {
  const places = (process.env["PATH"] ?? "").split(delimiter).filter((p) => p !== "");
  for (const place of [...places, "/usr/sbin", "/sbin"]) {
    const path = join(place, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  throw new Absent(`${name}: not installed`);
}

export interface Output {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function output(
  path: string,
  words: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Output> {
  return new Promise((resolve) => {
    execFile(
      path,
      words,
      { maxBuffer: 1 << 26, timeout: PATIENCE, encoding: "utf8", ...options },
      (e, stdout, stderr) => {
        const status = e === null ? 0 : typeof e.code === "number" ? e.code : 1;
        resolve({ status, stdout, stderr: stderr === "" && e !== null ? e.message : stderr });
      },
    );
  });
}

/** A reference program: `ask` writes a line and waits for one. */
export class LineProgram {
  private readonly child;
  private readonly waiting: { resolve: (line: string) => void; reject: (e: Error) => void }[] = [];
  private gone: string | null = null;
  private said = "";

  constructor(
    private readonly path: string,
    words: readonly string[],
  ) {
    this.child = spawn(path, words, { stdio: ["pipe", "pipe", "pipe"] });
    this.child.on("error", (e) => this.fail(e.message));
    this.child.stdin.on("error", (e) => this.fail(e.message));
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.said = (this.said + text).slice(-2000);
    });
    createInterface({ input: this.child.stdout }).on("line", (line) => this.waiting.shift()?.resolve(line));
    this.child.on("close", (code) => this.fail(`ended with ${code}: ${this.said.trim().split("\n").at(-1) ?? ""}`));
    // an idle peer must not keep the benchmark alive
    this.child.unref();
  }

  /** The answer to `line`; a program that is gone or silent is an error. */
  ask(line: string): Promise<string> {
    if (this.gone !== null) return Promise.reject(new Error(this.gone));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.close();
        reject(new Error(`${this.path}: no answer to '${line}'`));
      }, PATIENCE);
      const done =
        <T>(then: (v: T) => void) =>
        (v: T): void => {
          clearTimeout(timer);
          then(v);
        };
      this.waiting.push({ resolve: done(resolve), reject: done(reject) });
      this.child.stdin.write(`${line}\n`);
    });
  }

  /** The same for a number. */
  async number(line: string): Promise<number> {
    const text = await this.ask(line);
    const v = Number(text);
    if (text === "" || !Number.isFinite(v)) throw new Absent(text === "" ? "no answer" : text);
    return v;
  }

  close(): void {
    this.gone ??= "ended";
    this.child.kill("SIGKILL");
  }

  private fail(why: string): void {
    this.gone ??= why;
    for (const w of this.waiting.splice(0)) w.reject(new Error(this.gone));
  }
}
