import { replay } from "./kernel.ts"; import { makeCore } from "../../../src/core/core.ts"; import { readFileSync } from "node:fs";
const w = readFileSync(new URL("../../../build/release.wasm", import.meta.url)); let bad=0, n=0;
for (const s of JSON.parse(readFileSync(process.argv[2]!,"utf8"))) { n++; const d = replay(makeCore(w), s); if (d.length) { bad++; console.log(d.slice(0, +process.argv[3]! || 1).join("\n")); } }
console.log("scenarios", n, "bad", bad);
