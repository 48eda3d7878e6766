// src/transport/errno.ts: how a call on a socket fails (errno(3)), by name.

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
  | "EHOSTUNREACH"
  | "EINPROGRESS"
  | "EINVAL"
  | "EISCONN"
  | "EMSGSIZE"
  | "ENETUNREACH"
  | "ENOBUFS"
  | "ENOPROTOOPT"
  | "ENOTCONN"
  | "EOPNOTSUPP"
  | "EPIPE"
  | "EPROTO"
  | "ETIMEDOUT";

/** A call that failed. `message` is the errno's name. */
export class SocketError extends Error {
  constructor(readonly code: Errno) {
    super(code);
  }
}
