// src/transport/posix/posix.ts: BSD sockets of one host: descriptors, and calls that return at once or later.

import type { Namespace } from "../../host/namespace.ts";
import type { Clock, Timer } from "../../link/clock.ts";
import type { Tcp } from "../tcp/tcp.ts";
import type { Udp } from "../udp.ts";
import { SocketError } from "../errno.ts";
import {
  type Attempt,
  type File,
  type Level,
  type MessageFlags,
  type OptionValue,
  type Outcome,
  type Payload,
  Poll,
  type Waiter,
  type Wakes,
  fail,
  ok,
  outcomeOf,
} from "./file.ts";
import { TcpFile } from "./tcpfile.ts";
import { UdpFile } from "./udpfile.ts";

/** RLIMIT_NOFILE, and the first descriptor behind stdin, stdout and stderr. */
const MOST = 65536;
const FIRST = 3;

/** Called when a call that waited returns. */
export type Done = (outcome: Outcome) => void;

export class Posix implements Wakes {
  private readonly files: (File | undefined)[] = [];
  private readonly dirty = new Set<File>();
  /** Their close() waits: nobody is told when a closed connection's data was acknowledged. */
  private readonly lingering = new Set<File>();
  private readonly clock: Clock;

  constructor(
    private readonly ns: Namespace,
    private readonly udp: Udp,
    private readonly tcp: Tcp,
  ) {
    this.clock = ns.world.clock;
  }

  /** Something happened to the file; `settle` then tries what waits on it. */
  woke(file: File): void {
    if (file.waiters.length > 0) this.dirty.add(file);
  }

  /** Tries every call that waits on what was woken, in the order in which they were made. To be called when a packet or timer is done with. */
  settle(): void {
    for (const file of this.lingering) this.dirty.add(file);
    while (this.dirty.size > 0) {
      for (const file of this.dirty) {
        this.dirty.delete(file);
        for (const waiter of file.waiters.slice()) {
          if (!file.waiters.includes(waiter)) continue;
          const outcome = outcomeOf(waiter.attempt);
          if (outcome !== null) this.finish(waiter, outcome);
        }
      }
    }
  }

  private finish(waiter: Waiter, outcome: Outcome): void {
    for (const f of waiter.files) {
      const i = f.waiters.indexOf(waiter);
      if (i >= 0) f.waiters.splice(i, 1);
    }
    waiter.finish(outcome);
  }

  /** Tries once; what cannot finish waits, unless it may not: then it answers `errno`. Null: `done` will hear. */
  private run(file: File, fn: string, dontWait: boolean, attempt: Attempt, done: Done): Outcome | null {
    const outcome = outcomeOf(attempt);
    if (outcome !== null) return outcome;
    if (dontWait) return fail(file.wouldBlock(fn));
    file.waiters.push({ attempt, files: [file], finish: done });
    return null;
  }

  // -- descriptors

  file(fd: number): File | null {
    return this.files[fd] ?? null;
  }

  private install(file: File): Outcome {
    let fd = FIRST;
    while (fd < this.files.length && this.files[fd] !== undefined) fd++;
    if (fd >= MOST) {
      outcomeOf(file.close());
      return fail("EMFILE");
    }
    this.files[fd] = file;
    return ok(fd);
  }

  // -- calls; null: it waits, and `done` hears

  socket(type: "stream" | "dgram"): Outcome {
    if (type === "dgram") return this.install(new UdpFile(this, this.udp));
    return this.install(new TcpFile(this, this.ns, this.tcp));
  }

  bind(fd: number, address: number, port: number): Outcome {
    return this.now(fd, (f) => f.bind(address, port));
  }

  listen(fd: number, backlog: number): Outcome {
    return this.now(fd, (f) => f.listen(backlog));
  }

  accept(fd: number, done: Done): Outcome | null {
    return this.on(fd, "accept", false, done, (f) => {
      const attempt = f.accept();
      return () => {
        const outcome = attempt();
        if (outcome === null || outcome.ret < 0) return outcome;
        const accepted = (f as TcpFile).accepted!;
        const { ret, errno } = this.install(accepted);
        return errno === undefined ? { ...outcome, ret } : fail(errno);
      };
    });
  }

  connect(fd: number, address: number, port: number, done: Done): Outcome | null {
    return this.on(fd, "connect", false, done, (f) => f.connect(address, port));
  }

  /** `port` -1: to the peer. */
  send(fd: number, data: Payload, flags: MessageFlags, address: number, port: number, done: Done): Outcome | null {
    return this.on(fd, "send", flags.dontWait === true, done, (f) => f.send(data, flags, address, port));
  }

  receive(fd: number, length: number, flags: MessageFlags, done: Done): Outcome | null {
    return this.on(fd, "recv", flags.dontWait === true, done, (f) => f.receive(length, flags));
  }

  shutdown(fd: number, how: number): Outcome {
    return this.now(fd, (f) => f.shutdown(how));
  }

  /** Whatever waits on the descriptor fails with EBADF. */
  close(fd: number, done: Done): Outcome | null {
    const file = this.file(fd);
    if (file === null) return fail("EBADF");
    this.files[fd] = undefined;
    for (const waiter of file.waiters.slice()) this.finish(waiter, fail("EBADF"));
    const attempt = file.close();
    file.closed = true;
    const outcome = this.run(file, "close", false, attempt, (late) => {
      this.lingering.delete(file);
      done(late);
    });
    if (outcome === null) this.lingering.add(file);
    return outcome;
  }

  getFlags(fd: number): Outcome {
    return this.now(fd, (f) => ({ ret: 0, flags: f.nonblocking ? ["O_RDWR", "O_NONBLOCK"] : ["O_RDWR"] }));
  }

  setNonblocking(fd: number, on: boolean): Outcome {
    return this.now(fd, (f) => {
      f.nonblocking = on;
      return ok();
    });
  }

  getOption(fd: number, level: Level, name: string): Outcome {
    return this.now(fd, (f) => ({ ret: 0, value: f.getOption(level, name) }));
  }

  setOption(fd: number, level: Level, name: string, value: OptionValue): Outcome {
    return this.now(fd, (f) => {
      f.setOption(level, name, value);
      return ok();
    });
  }

  /** poll(2); `timeout` in nanoseconds, negative: for ever. `names` tells the bits of `revents`. */
  poll(
    fds: readonly { fd: number; events: number }[],
    timeout: number,
    names: (bits: number) => string[],
    done: Done,
  ): Outcome | null {
    const files = fds.map(({ fd }) => this.file(fd));
    const look = (): Outcome | null => {
      let ready = 0;
      const revents = fds.map(({ events }, i) => {
        const file = files[i]!;
        const bits = file === null ? Poll.Nval : file.poll() & (events | Poll.Err | Poll.Hup);
        if (bits !== 0) ready++;
        return names(bits);
      });
      return ready > 0 ? { ret: ready, revents } : null;
    };
    const nothing = (): Outcome => ({ ret: 0, revents: fds.map(() => []) });
    const at = look();
    if (at !== null) return at;
    if (timeout === 0) return nothing();
    let timer: Timer | null = null;
    const open = [...new Set(files.filter((f) => f !== null))];
    const waiter: Waiter = {
      attempt: look,
      files: open,
      finish: (outcome) => {
        this.clock.cancel(timer);
        done(outcome);
      },
    };
    for (const f of open) f.waiters.push(waiter);
    if (timeout > 0) timer = this.clock.after(timeout, () => this.finish(waiter, nothing()));
    return null;
  }

  private now(fd: number, call: (file: File) => Outcome): Outcome {
    const file = this.file(fd);
    if (file === null) return fail("EBADF");
    return outcomeOf(() => call(file))!;
  }

  private on(fd: number, fn: string, dontWait: boolean, done: Done, start: (file: File) => Attempt): Outcome | null {
    const file = this.file(fd);
    if (file === null) return fail("EBADF");
    try {
      return this.run(file, fn, dontWait || file.nonblocking, start(file), done);
    } catch (e) {
      if (e instanceof SocketError) return fail(e.code);
      throw e;
    }
  }
}
