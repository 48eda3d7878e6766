// src/transport/errno.ts: how a call on a socket fails (errno(3)), by name.

import { errno } from "../host/fib/route.ts";

export type Errno =
  | "EACCES"
  | "EADDRINUSE"
  | "EADDRNOTAVAIL"
  | "EAFNOSUPPORT"
  | "EAGAIN"
  | "EALREADY"
  | "EBADF"
  | "ECONNABORTED"
  | "ECONNREFUSED"
  | "ECONNRESET"
  | "EDESTADDRREQ"
  | "EDOM"
  | "EFAULT"
  | "EHOSTDOWN"
  | "EHOSTUNREACH"
  | "EINPROGRESS"
  | "EINTR"
  | "EINVAL"
  | "EISCONN"
  | "EMFILE"
  | "EMSGSIZE"
  | "ENETDOWN"
  | "ENETUNREACH"
  | "ENOBUFS"
  | "ENODEV"
  | "ENOENT"
  | "ENONET"
  | "ENOPROTOOPT"
  | "ENOTCONN"
  | "ENOTSOCK"
  | "ENOTTY"
  | "EOPNOTSUPP"
  | "EPERM"
  | "EPIPE"
  | "EPROTO"
  | "EPROTONOSUPPORT"
  | "ESOCKTNOSUPPORT"
  | "ETIMEDOUT";

/** A call that failed. `message` is the errno's name. */
export class SocketError extends Error {
  constructor(readonly code: Errno) {
    super(code);
  }
}

/** What a refused routing decision (`Fib.error`) means to a call. */
export function routeErrno(code: number): Errno {
  switch (code) {
    case errno.EHOSTUNREACH:
      return "EHOSTUNREACH";
    case errno.EACCES:
      return "EACCES";
    case errno.EINVAL:
      return "EINVAL";
    case errno.ENODEV:
      return "ENODEV";
    case errno.EADDRNOTAVAIL:
      return "EADDRNOTAVAIL";
    case errno.ENETDOWN:
      return "ENETDOWN";
    default:
      return "ENETUNREACH";
  }
}
