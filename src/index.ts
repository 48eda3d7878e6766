// src/index.ts: the front door. Everything else is inside.

export { type Core, makeCore } from "./core/core.ts";
export { loadCore } from "./node/core.ts";
export { buildLab, type Lab } from "./lab/build.ts";
export { LabError, LabText } from "./lab/read.ts";
export { printLab } from "./lab/print.ts";
export { Replay } from "./lab/replay.ts";
export { CaptureReader, readCapture } from "./capture/reader.ts";
export { PcapngWriter, PcapWriter } from "./capture/writer.ts";
export { compileFilter, loadFilter, matches } from "./capture/filter/index.ts";
export { Recorder } from "./trace/recorder.ts";
export { Story } from "./trace/story.ts";
export { partition } from "./link/wire.ts";
export { hostOf } from "./socket/host.ts";
export { drive } from "./node/driver.ts";
export { nodePlatform } from "./node/platform.ts";
export { loadOn, runOn } from "./node/program.ts";
