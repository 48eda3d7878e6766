// scripts/setup.mjs: what `npm start` and `npm test` need, done once: packages from the lockfile, then the build.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

// npm runs this file; npm_execpath is its own script, so no shell word has to be found on PATH
const lock = "package-lock.json";
const stamp = join("node_modules", ".wirepath-lock");
const same = existsSync(stamp) && existsSync(lock) && readFileSync(stamp, "utf8") === readFileSync(lock, "utf8");
if (!same) {
  console.error("setup: installing packages from the lockfile");
  const npm = process.env.npm_execpath;
  const r = npm
    ? spawnSync(process.execPath, [npm, "ci", "--ignore-scripts"], { stdio: ["ignore", "ignore", "inherit"] })
    : spawnSync("npm", ["ci", "--ignore-scripts"], { stdio: ["ignore", "ignore", "inherit"] });
  if (r.status !== 0) process.exit(r.status ?? 1);
  copyFileSync(lock, stamp);
}
await import("./build.mjs");
