// src/node/surveyworker.ts: the thread that surveys one file.

import { parentPort, workerData } from "node:worker_threads";
import { survey, type SurveyOptions } from "./survey.ts";

const { path, options } = workerData as { path: string; options: SurveyOptions };
const found = await survey(path, options);
parentPort!.postMessage(found, [found.flows.buffer]);
