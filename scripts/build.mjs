// scripts/build.mjs: wasm (debug and release), then JavaScript, each only when a source is newer than what it makes.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

/** Time of the newest file below `paths`. */
function newest(paths) {
  let t = 0;
  for (const p of paths) {
    if (!existsSync(p)) continue;
    const s = statSync(p);
    if (s.isDirectory()) t = Math.max(t, newest(readdirSync(p).map((f) => join(p, f))));
    else t = Math.max(t, s.mtimeMs);
  }
  return t;
}

const made = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);

function run(words) {
  const r = spawnSync(process.execPath, words, { stdio: ["ignore", "inherit", "inherit"] });
  if (r.status !== 0) process.exit(r.status ?? 1);
}

const asSources = newest(["assembly", "asconfig.json"]);
for (const target of ["debug", "release"]) {
  if (made(`build/${target}.wasm`) <= asSources) {
    console.error(`build: core (${target})`);
    run(["node_modules/assemblyscript/bin/asc.js", "--config", "asconfig.json", "--target", target]);
  }
}
const tsSources = newest(["src", "assembly", "tsconfig.json", "tsconfig.build.json"]);
if (made("dist/core.wasm") <= Math.max(tsSources, made("build/release.wasm"))) {
  console.error("build: javascript");
  run(["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);
  mkdirSync("dist", { recursive: true });
  copyFileSync("build/release.wasm", "dist/core.wasm");
}
