// src/node/bench/index.ts: all rows. A new suite is a file beside this one, and a line here.

import { checksum } from "./checksum.ts";
import { decode } from "./decode.ts";
import { docker, topology } from "./docker.ts";
import type { Suite } from "./env.ts";
import { http } from "./http.ts";
import { lpm } from "./lpm.ts";
import { scale } from "./scale.ts";
import { tcp } from "./tcp.ts";

/** In the order in which they run. */
export const suites: readonly Suite[] = [lpm, decode, checksum, docker, topology, scale, tcp, http];
