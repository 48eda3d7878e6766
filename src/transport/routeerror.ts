// src/transport/routeerror.ts: why there is no route, as a call on a socket says it.

import { errno } from "../host/fib/route.ts";
import type { Errno } from "./errno.ts";

/** The name of what `Fib.error` holds after a lookup that failed. */
export function errnoOf(error: number): Errno {
  switch (error) {
    case errno.EINVAL:
      return "EINVAL";
    case errno.EACCES:
      return "EACCES";
    case errno.EHOSTUNREACH:
      return "EHOSTUNREACH";
    default:
      return "ENETUNREACH";
  }
}
