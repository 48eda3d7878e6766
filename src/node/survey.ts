// src/node/survey.ts: the flows and the counters of captures; several files at once on threads of their own.

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { randomInt } from "node:crypto";
import { ColumnReader } from "../capture/columns.ts";
import { ColumnFilter } from "../capture/filter/columns.ts";
import { Flows } from "../capture/flows.ts";
import { CaptureError } from "../capture/format.ts";
import { type CaptureStats, StatsCounter } from "../capture/stats.ts";
import { readColumns } from "./columns.ts";
import { loadCore } from "./core.ts";
import { FileError } from "./files.ts";

export interface SurveyOptions {
  /** Count what `CaptureStats` has. */
  readonly stats: boolean;
  /** A pcap filter, or null. */
  readonly filter: string | null;
  /** Frames of a file at most. */
  readonly most: number;
  /** Flows at most. */
  readonly flows: number;
}

/** What was found in one file. */
export interface Survey {
  readonly path: string;
  readonly stats: CaptureStats | null;
  /** `Flows.bytes`. */
  readonly flows: Uint8Array<ArrayBuffer>;
  /** Packets of flows beyond the limit. */
  readonly missed: number;
  /** What is wrong with the file, with its name: the rest is of what came before. Null when nothing is. */
  readonly error: string | null;
}

/** Reads one file. Whatever is wrong with it is in the answer. */
export async function survey(path: string, options: SurveyOptions): Promise<Survey> {
  const core = loadCore();
  const columns = new ColumnReader(core);
  const filter = options.filter === null ? null : new ColumnFilter(options.filter);
  const counter = options.stats ? new StatsCounter(core) : null;
  const flows = new Flows(core, options.flows, randomInt(2 ** 32));
  let left = options.most;
  let error: string | null = null;
  try {
    await readColumns(path, columns, () => {
      const n = Math.min(left, filter === null ? columns.count : filter.keep(columns));
      counter?.add(columns, n);
      flows.add(columns, n);
      left -= n;
      return left > 0;
    });
  } catch (e) {
    if (e instanceof CaptureError) error = `${path === "-" ? "stdin" : path}: ${e.message}`;
    else if (e instanceof FileError) error = e.message;
    else throw e;
  }
  return { path, stats: counter?.read() ?? null, flows: flows.bytes(), missed: flows.missed, error };
}

/** What loads TypeScript for the sources does not do so on threads: from there, one file is read after the other. */
const threaded = import.meta.url.endsWith(".js");

function onThread(path: string, options: SurveyOptions): Promise<Survey> {
  return new Promise((done, fail) => {
    const worker = new Worker(new URL("./surveyworker.js", import.meta.url), { workerData: { path, options } });
    worker.once("message", done);
    worker.once("error", fail);
    worker.once("exit", (code) => fail(new Error(`${path}: the thread that read it ended with status ${code}`)));
  });
}

/** Reads files, several at once, and yields what was found in their order. */
export async function* surveys(
  paths: readonly string[],
  options: SurveyOptions,
): AsyncGenerator<Survey, void, undefined> {
  if (paths.length === 1 || !threaded) {
    for (const path of paths) yield await survey(path, options);
    return;
  }
  const threads = Math.min(paths.length, availableParallelism());
  const running: Promise<Survey>[] = [];
  let next = 0;
  while (running.length > 0 || next < paths.length) {
    while (running.length < threads && next < paths.length) {
      const found = onThread(paths[next++]!, options);
      // it may fail while an earlier file is waited for
      found.catch(() => {});
      running.push(found);
    }
    yield await running.shift()!;
  }
}
