// src/node/gzip.ts: gzip from node:zlib, as programs on hosts take it.

import { gunzipSync, gzipSync } from "node:zlib";
import type { Codec } from "../service/http/browser.ts";

/** What a body may become. */
const MOST = 64 << 20;

export const gzipCodec: Codec = {
  gzip: (bytes, done) => done(new Uint8Array(gzipSync(bytes))),
  gunzip: (bytes, done) => {
    let out: Uint8Array | null = null;
    try {
      out = new Uint8Array(gunzipSync(bytes, { maxOutputLength: MOST }));
    } catch {
      // no gzip, or too much of it
    }
    done(out);
  },
};
