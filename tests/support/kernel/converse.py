#!/usr/bin/python3
"""Talks to this machine's kernel TCP, by a seed, and writes down the whole conversation (root; Linux).

    converse.py FIRST [LAST] --out DIR [--jobs N]

Each seed gets a network namespace of its own with a TUN device, whose other end is this process: it makes the program's
calls (non-blocking sockets) and sends the peer's segments, both at random times and of random kinds, and records every
packet with the kernel's own time, in order. One conversation is DIR/SEED.ndjson:

    {"seed":1,"mtu":1500,"sysctl":{...},"what":"..."}         what the host is: 10.0.0.1/24 on tun0
    [t,"call","send",{...},result]                            t: nanoseconds of CLOCK_MONOTONIC
    [t,"<","45..."]  [t,">","45..."]                          an IP packet that the host received, sent
"""
import argparse, ctypes, errno, fcntl, json, os, random, socket, struct, subprocess, sys, time

LOCAL, PEER = "10.0.0.1", "10.0.0.2"
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
SO_TIMESTAMPNS = 35
ETH_P_ALL = 3
M32 = 0xFFFFFFFF


def checksum(b):
    if len(b) % 2:
        b += b"\0"
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def ipv4(proto, payload, tos=0, ident=0, df=0x4000):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), ident, df, 64, proto, 0,
                    socket.inet_aton(PEER), socket.inet_aton(LOCAL))
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + payload


def before(a, b):
    return ((a - b) & M32) > 0x7FFFFFFF


def jiffies_phase():
    """What jiffies is beyond the monotonic clock's 4 ms ticks (HZ=250): timers of the wheel's outer levels depend on it."""
    least = None
    for _ in range(8):
        now = value = None
        for line in open("/proc/timer_list"):
            if line.startswith("now at"):
                now = int(line.split()[2])
            elif line.startswith("jiffies:"):
                value = int(line.split()[1])
                break
        d = value - now // 4000000
        least = d if least is None or d < least else least
    return least % 4096


class Segment:
    """A TCP segment that the host sent."""

    def __init__(self, t, p):
        ihl = (p[0] & 15) * 4
        self.t, self.packet = t, p
        self.sport, self.dport, self.seq, self.ack, off, self.flags, self.win, _, self.urg = struct.unpack(
            "!HHIIBBHHH", p[ihl:ihl + 20])
        hl = (off >> 4) * 4
        self.data = p[ihl + hl:]
        self.end = (self.seq + len(self.data) + bool(self.flags & SYN) + bool(self.flags & FIN)) & M32
        self.tsval = self.mss = self.ws = None
        self.sackok = False
        o = p[ihl + 20:ihl + hl]
        i = 0
        while i < len(o):
            k = o[i]
            if k == 0:
                break
            if k == 1:
                i += 1
                continue
            if k == 8:
                self.tsval = struct.unpack("!I", o[i + 2:i + 6])[0]
            elif k == 2:
                self.mss = struct.unpack("!H", o[i + 2:i + 4])[0]
            elif k == 3:
                self.ws = o[i + 2]
            elif k == 4:
                self.sackok = True
            i += o[i + 1]


class Wire:
    """The namespace, its device, and the record."""

    def __init__(self, rng, head):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x0001 | 0x1000))
        for name, value in head["sysctl"].items():
            with open("/proc/sys/" + name.replace(".", "/"), "w") as f:
                f.write(str(value))
        open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w").write("1") if os.path.exists("/proc/sys/net/ipv6") else None
        subprocess.run(["ip", "-batch", "-"], check=True, text=True, input=(
            f"link set tun0 mtu {head['mtu']} txqueuelen 1000\naddr add {LOCAL}/24 dev tun0\nlink set tun0 up\nlink set lo up\n"))
        self.cap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.cap.bind(("tun0", ETH_P_ALL))
        self.cap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.cap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.cap.setblocking(False)
        self.offset = min((lambda a, r, b: r - (a + b) // 2)(time.monotonic_ns(), time.time_ns(), time.monotonic_ns())
                          for _ in range(5))
        self.events = []
        self.sent = []
        self.on_segment = None
        self.icmp = []

    def drain(self):
        while True:
            try:
                data, anc, _, addr = self.cap.recvmsg(70000, 256)
            except BlockingIOError:
                break
            try:
                while True:
                    os.read(self.tun, 70000)
            except BlockingIOError:
                pass
            t = 0
            for level, kind, value in anc:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    s, ns = struct.unpack("qq", value[:16])
                    t = s * 10**9 + ns - self.offset
            out = addr[2] == 4
            self.events.append((t, len(self.events), [t, ">" if out else "<", data.hex()]))
            if out and data[9] == 6:
                seg = Segment(t, data)
                self.sent.append(seg)
                self.on_segment(seg)

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, 0.02))
            self.drain()
        self.drain()

    def inject(self, packet):
        os.write(self.tun, packet)
        self.drain()
        self.note()

    def note(self):
        """With DEBUG set: what the kernel thinks of the connection now (struct tcp_info, SO_MEMINFO)."""
        if not os.environ.get("DEBUG"):
            return
        for s in self.talk.fds.values():
            try:
                i = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                m = struct.unpack("9I", s.getsockopt(socket.SOL_SOCKET, 55, 36))
            except OSError:
                continue
            u = struct.unpack("8B24I", i[:104])
            names = ("rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_sent last_ack_sent last_recv last_ack_recv "
                     "pmtu rcv_ssthresh rtt rttvar ssthresh cwnd advmss reordering rcv_rtt rcv_space total_retrans").split()
            d = dict(zip(names, u[8:]))
            d = {k: d[k] for k in "rto ato rcv_mss rcv_ssthresh cwnd ssthresh rtt rttvar unacked sacked lost retrans rcv_rtt rcv_space".split()}
            d.update(state=u[0], ca=u[1], rmem=m[0], rcvbuf=m[1], wq=m[5], sndbuf=m[3])
            self.events.append((time.monotonic_ns(), len(self.events), [time.monotonic_ns(), "info", " ".join(f"{k}={v}" for k, v in d.items())]))

    def call(self, fn, args, work):
        t = time.monotonic_ns()
        try:
            r = work()
        except OSError as e:
            r = errno.errorcode.get(e.errno, str(e.errno))
        self.events.append((t, len(self.events), [t, "call", fn, args, r]))
        self.drain()
        self.note()
        return r


class Talk:
    def __init__(self, seed):
        r = self.r = random.Random(seed)
        self.seed = seed
        self.kind = r.choice(["sender", "sender", "receiver", "receiver", "mixed", "close", "hostile", "handshake"])
        pick = r.choice
        sysctl = {"net.ipv4.tcp_congestion_control": "reno"}
        # a namespace may not make CUBIC its default: sockets ask for it
        self.cubic = r.random() < 0.5

        def maybe(name, value, chance):
            if r.random() < chance:
                sysctl["net.ipv4." + name] = value

        maybe("tcp_sack", 0, 0.15)
        maybe("tcp_dsack", 0, 0.08)
        maybe("tcp_timestamps", 0, 0.3)
        maybe("tcp_window_scaling", 0, 0.12)
        maybe("tcp_ecn", pick([0, 1, 1]), 0.3)
        maybe("tcp_early_retrans", 0, 0.12)
        maybe("tcp_slow_start_after_idle", 0, 0.1)
        maybe("tcp_rmem", pick(["4096 16384 65536", "4096 8192 131072", "4096 262144 4194304"]), 0.15)
        maybe("tcp_wmem", pick(["4096 8192 65536", "4096 65536 4194304"]), 0.1)
        maybe("tcp_abort_on_overflow", 1, 0.05)
        maybe("tcp_rfc1337", 1, 0.05)
        self.head = {"seed": seed, "mtu": pick([1500, 1500, 1500, 1500, 576, 1006, 9000]), "sysctl": sysctl,
                     "congestion": "cubic" if self.cubic else "reno",
                     "rmem_max": RMEM_MAX, "jiffies": JIFFIES, "what": self.kind}
        self.fds = {}
        self.nextfd = 3
        self.w = Wire(r, self.head)
        self.w.on_segment = self.saw
        self.w.talk = self
        self.port = pick([80, 5001])
        self.peer_port = 40000 + r.randrange(1000)
        # the peer
        self.iss = pick([r.randrange(1 << 32), 0xFFFFF000, 1000])
        self.nxt = self.iss
        self.peer_mss = pick([1460, 1460, 1460, 536, 100, 1200, None, 8960, 60, 0])
        self.peer_ws = pick([None, 0, 2, 7, 7, 10, 14])
        self.peer_ts = r.random() < 0.7
        self.peer_sack = r.random() < 0.75
        self.peer_ecn = r.random() < 0.3
        self.tsbase = pick([r.randrange(1 << 32), 1, 0xFFFFFF00])
        self.win = pick([65535, 65535, 30000, 8000, 1000, 400])
        # what the host said
        self.host_iss = None
        self.una = None  # what the peer acknowledged last
        self.top = None  # end of the last byte the host sent
        self.acked = None
        self.tsecr = 0
        self.ts_on = False
        self.sack_on = False
        self.shift = 0
        self.host_win = 0
        self.outstanding = []
        self.sacked = []
        self.holes = []  # [seq, len] of the peer's own that it has not sent
        self.fin_sent = False
        self.established = False
        self.last = None

    # -- seeing

    def saw(self, s):
        self.last = s
        if s.flags & RST:
            return
        if s.flags & SYN:
            if self.host_iss is None or self.host_iss != s.seq:
                self.host_iss = s.seq
                self.una = self.acked = s.seq
                self.top = s.end
                self.outstanding = []
            self.ts_on = s.tsval is not None and self.peer_ts
            self.sack_on = s.sackok and self.peer_sack
            self.shift = s.ws if s.ws is not None and self.peer_ws is not None else 0
        if s.tsval is not None:
            self.tsecr = s.tsval
        if self.top is None:
            return
        self.host_win = s.win << (0 if s.flags & SYN else self.shift)
        self.acked = s.ack
        if s.end != s.seq and not s.flags & SYN:
            if before(self.top, s.end):
                self.top = s.end
            if (s.seq, s.end) not in self.outstanding:
                self.outstanding.append((s.seq, s.end))

    # -- sending

    def ts(self):
        return (self.tsbase + time.monotonic_ns() // 1000000) & M32

    def options(self, syn=False, sack=(), ts=None, echo=None):
        o = b""
        if syn:
            if self.peer_mss is not None:
                o += struct.pack("!BBH", 2, 4, self.peer_mss)
            if self.peer_sack:
                o += b"\x04\x02"
            if self.peer_ts:
                o += struct.pack("!BBII", 8, 10, self.ts() if ts is None else ts, self.tsecr)
            if self.peer_ws is not None:
                o += struct.pack("!BBB", 3, 3, self.peer_ws)
        else:
            if self.ts_on and ts != "none":
                o += b"\1\1" + struct.pack("!BBII", 8, 10, self.ts() if ts is None else ts & M32, self.tsecr if echo is None else echo & M32)
            if sack and self.sack_on:
                sack = list(sack)[: 3 if self.ts_on else 4]
                o += b"\1\1" + struct.pack("!BB", 5, 2 + 8 * len(sack)) + b"".join(struct.pack("!II", a & M32, b & M32) for a, b in sack)
        return o + b"\1" * (-len(o) % 4)

    def tcp(self, flags, seq=None, ack=None, data=b"", win=None, urg=0, opt=None, tos=0, **kw):
        seq = self.nxt if seq is None else seq
        ack = (self.una if self.una is not None else 0) if ack is None else ack
        if opt is None:
            opt = self.options(bool(flags & SYN), **kw)
        if win is None:
            win = self.win
        h = struct.pack("!HHIIBBHHH", self.peer_port, self.port, seq & M32, ack & M32 if flags & ACK else 0,
                        (5 + len(opt) // 4) << 4, flags, win & 0xFFFF, 0, urg) + opt
        pseudo = socket.inet_aton(PEER) + socket.inet_aton(LOCAL) + struct.pack("!BBH", 0, 6, len(h) + len(data))
        c = checksum(pseudo + h + data)
        self.w.inject(ipv4(6, h[:16] + struct.pack("!H", c) + h[18:] + data, tos))

    def ack_all(self):
        if self.top is not None:
            self.una = self.top
            self.outstanding = [o for o in self.outstanding if before(self.una, o[1])]
            self.sacked = []

    # -- the program

    def call(self, fn, fd, **args):
        s = self.fds.get(fd)
        a = dict(args, fd=fd)
        w = self.w
        if fn == "socket":
            n = self.nextfd
            self.nextfd += 1

            def make():
                self.fds[n] = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                self.fds[n].setblocking(False)
                return n
            w.call("socket", {"type": "stream"}, make)
            return n
        if fn == "bind":
            return w.call(fn, a, lambda: s.bind((args["ip"], args["port"])) or 0)
        if fn == "listen":
            return w.call(fn, a, lambda: s.listen(args["backlog"]) or 0)
        if fn == "connect":
            return w.call(fn, a, lambda: s.connect((args["ip"], args["port"])) or 0)
        if fn == "accept":
            def acc():
                c, _ = s.accept()
                c.setblocking(False)
                n = self.nextfd
                self.nextfd += 1
                self.fds[n] = c
                return n
            return w.call(fn, a, acc)
        if fn == "send":
            flags = sum(getattr(socket, f) for f in args.get("flags", []))
            return w.call(fn, a, lambda: s.send(bytes(args["len"]), flags | socket.MSG_NOSIGNAL))
        if fn == "recv":
            flags = sum(getattr(socket, f) for f in args.get("flags", []))
            return w.call(fn, a, lambda: len(s.recv(args["len"], flags)))
        if fn == "shutdown":
            return w.call(fn, a, lambda: s.shutdown({"RD": 0, "WR": 1, "RDWR": 2}[args["how"]]) or 0)
        if fn == "close":
            def close():
                del self.fds[fd]
                s.close()
                return 0
            return w.call(fn, a, close)
        if fn == "setsockopt":
            level = getattr(socket, args["level"])
            name = {"TCP_USER_TIMEOUT": 18, "TCP_LINGER2": 8, "TCP_CORK": 3}.get(args["name"]) or getattr(socket, args["name"])
            v = args["value"]
            return w.call(fn, a, lambda: s.setsockopt(level, name, struct.pack("ii", *v) if isinstance(v, list) else v) or 0)
        raise ValueError(fn)

    def options_before(self, fd):
        r = self.r
        if self.cubic:
            self.fds[fd].setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        so = lambda name, v, level="IPPROTO_TCP": self.call("setsockopt", fd, level=level, name=name, value=v)
        if r.random() < 0.3:
            so("TCP_NODELAY", 1)
        if r.random() < 0.12:
            so("SO_RCVBUF", r.choice([2048, 4096, 20000, 100000]), "SOL_SOCKET")
        if r.random() < 0.1:
            so("SO_SNDBUF", r.choice([4608, 20000, 200000]), "SOL_SOCKET")
        if r.random() < 0.1:
            so("TCP_MAXSEG", r.choice([88, 536, 1000]))

    # -- opening

    def open(self):
        r = self.r
        how = r.choice(["listen", "listen", "connect", "connect", "both"])
        if how == "both":
            # the kernel's SYN,ACK then has every option, whether the peer's SYN had it or not
            on = lambda n: self.head["sysctl"].get("net.ipv4.tcp_" + n, 1)
            self.peer_ts, self.peer_sack = bool(on("timestamps")), bool(on("sack"))
            self.peer_ws = (self.peer_ws or 0) if on("window_scaling") else None
        self.head["what"] += " " + how
        if how == "listen":
            self.l = self.call("socket", 0)
            self.call("setsockopt", self.l, level="SOL_SOCKET", name="SO_REUSEADDR", value=1)
            self.options_before(self.l)
            self.call("bind", self.l, ip="0.0.0.0", port=self.port)
            self.call("listen", self.l, backlog=r.choice([5, 0, 1]))
            self.nap(0.002)
            flags = SYN | (ECE | CWR if self.peer_ecn else 0)
            if self.kind == "handshake":
                self.odd_listen()
            self.tcp(flags, ack=0)
            self.nxt = (self.iss + 1) & M32
            self.w.pause(r.choice([0.0005, 0.003, 0.03]))
            if self.kind == "handshake":
                self.odd_request()
                if self.host_iss is None:
                    return None
            self.ack_all()
            data = b"" if r.random() < 0.85 else bytes(r.randrange(1, 800))
            self.tcp(ACK | (PSH if data else 0), data=data)
            self.nxt = (self.nxt + len(data)) & M32
            self.nap(0.001)
            fd = self.call("accept", self.l)
            return fd if isinstance(fd, int) else None
        fd = self.call("socket", 0)
        self.options_before(fd)
        self.call("setsockopt", fd, level="SOL_SOCKET", name="SO_REUSEADDR", value=1)
        self.call("bind", fd, ip=LOCAL, port=self.port)
        self.call("connect", fd, ip=PEER, port=self.peer_port)
        self.w.pause(r.choice([0.0005, 0.003, 0.03]))
        if self.kind == "handshake":
            if self.odd_synsent(fd):
                return fd
        if how == "connect":
            # ECE: the peer agrees to ECN
            self.una = self.top
            data = b"" if r.random() < 0.93 else bytes(r.randrange(1, 300))
            self.tcp(SYN | ACK | (ECE if self.peer_ecn else 0), data=data)
            self.nxt = (self.iss + 1 + len(data)) & M32
        else:
            self.tcp(SYN, ack=0)
            self.nxt = (self.iss + 1) & M32
            self.nap(0.002)
            self.ack_all()
            self.tcp(SYN | ACK if r.random() < 0.5 else ACK, seq=None if False else (self.iss if r.random() < 0.7 else self.nxt))
            self.nap(0.001)
            self.tcp(ACK)
        self.nap(0.001)
        return fd

    def odd_listen(self):
        r = self.r
        for _ in range(r.randrange(3)):
            k = r.randrange(6)
            self.una = r.randrange(1 << 32)
            if k == 0:
                self.tcp(ACK, data=bytes(r.randrange(3)))
            elif k == 1:
                self.tcp(RST)
            elif k == 2:
                self.tcp(SYN | ACK)
            elif k == 3:
                self.tcp(FIN)
            elif k == 4:
                self.tcp(SYN | FIN)
            else:
                self.tcp(0, opt=b"")
            self.una = None
            self.nap(0.002)

    def odd_request(self):
        r = self.r
        for _ in range(r.randrange(4)):
            k = r.randrange(9)
            if self.host_iss is None:
                return
            up = (self.host_iss + 1) & M32
            if k == 0:
                self.tcp(SYN, seq=self.iss, ack=0)
            elif k == 1:
                self.tcp(ACK, ack=up + r.choice([1, -1, 5000]))
            elif k == 2:
                self.tcp(SYN, seq=self.iss + r.choice([1, 100, 70000]), ack=0)
            elif k == 3:
                self.tcp(RST, seq=self.nxt + r.choice([0, 1, -1, 100, 100000]))
            elif k == 4:
                self.tcp(ACK, seq=self.nxt + r.choice([-1, -100, 200000, 1000]), ack=up)
            elif k == 5:
                self.tcp(RST | ACK, ack=up, seq=self.nxt + r.choice([0, 1]))
            elif k == 6:
                self.w.pause(1.1)
            elif k == 7 and self.ts_on:
                self.tcp(ACK, ack=up, ts=self.ts() - 100000)
            else:
                self.tcp(r.choice([0, PSH, FIN, SYN | ACK]), ack=up)
            self.nap(0.002)

    def odd_synsent(self, fd):
        r = self.r
        for _ in range(r.randrange(4)):
            k = r.randrange(10)
            up = self.top
            self.una = self.host_iss
            if k == 0:
                self.tcp(ACK, ack=up + r.choice([0, 1, -1, 100]))
            elif k == 1:
                self.tcp(SYN | ACK, seq=self.iss, ack=up + r.choice([1, -1, 100]))
            elif k == 2:
                self.tcp(RST, seq=r.randrange(1 << 32))
            elif k == 3:
                self.tcp(RST | ACK, seq=0, ack=up + r.choice([1, -1, 0]))
                if self.r.random() < 0.5:
                    self.nap(0.002)
                    self.call("send", fd, len=10)
                    return True
            elif k == 4:
                self.tcp(FIN | r.choice([0, ACK]), ack=up)
            elif k == 5:
                self.w.pause(1.1)
            elif k == 6:
                self.icmp()
            elif k == 7 and self.peer_ts:
                self.tsecr, keep = (self.tsecr + r.choice([-5000, 5000])) & M32, self.tsecr
                self.tcp(SYN | ACK, seq=self.iss, ack=up)
                self.tsecr = keep
            elif k == 8:
                self.call("close", fd)
                self.nap(0.002)
                self.tcp(SYN | ACK, seq=self.iss, ack=up)
                self.nap(0.002)
                return True
            else:
                self.tcp(0)
            self.nap(0.002)
        return False

    def nap(self, t):
        self.w.pause(t)

    def icmp(self):
        r = self.r
        segs = [s for s in self.w.sent[-6:] if not s.flags & RST]
        if not segs:
            return
        s = r.choice(segs)
        kind = r.choice([(3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 4), (3, 4), (3, 10), (3, 13), (4, 0), (11, 0), (12, 0)])
        info = r.choice([1400, 1000, 576, 600, 296, 68, 0, 9000]) if kind == (3, 4) else 0
        q = s.packet[: r.choice([28, 28, 40, 200])]
        body = struct.pack("!BBHI", kind[0], kind[1], 0, info) + q
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        self.w.inject(ipv4(1, body, df=0))

    # -- the middle

    def step(self, fd):
        r = self.r
        kinds = {
            "sender": "w w w w a a a p d s s s R z q q i e t",
            "receiver": "n n n n o o u x x h h f r r r r z P q",
            "mixed": "w w w n n n a a a o u x h r r r s d q q C",
            "close": "w n a r S F q q c a",
            "hostile": "w n a r B B B B B U Y T i q e h o",
            "handshake": "w n a r S F q c",
        }[self.kind].split()
        k = r.choice(kinds)
        mss = max(self.peer_mss or 536, 88)
        ok = fd in self.fds
        if k == "w" and ok:
            n = r.choice([1, 10, 100, 536, 1000, 1460, 2000, 3000, 5000, 10000, 20000, 60000])
            flags = ["MSG_MORE"] if r.random() < 0.05 else ["MSG_OOB"] if r.random() < 0.04 else []
            self.call("send", fd, len=n, flags=flags)
        elif k == "r" and ok:
            self.call("recv", fd, len=r.choice([1, 100, 1000, 100000, 100000]))
        elif k == "a":
            self.ack_all()
            self.tcp(ACK, tos=r.choice([0, 0, 0, 3]) if self.peer_ecn else 0)
        elif k == "p" and self.outstanding:
            o = r.choice(self.outstanding[:5])
            new = r.choice([o[1], o[0], (o[0] + r.randrange(1, 50)) & M32])
            if before(self.una, new) and not before(self.top, new):
                self.una = new
            self.outstanding = [o for o in self.outstanding if before(self.una, o[1])]
            self.tcp(ACK)
        elif k == "d":
            for _ in range(r.choice([1, 2, 3, 4])):
                self.tcp(ACK)
        elif k == "s" and self.outstanding:
            # some of what is outstanding, as blocks
            for _ in range(r.choice([1, 1, 2, 3])):
                some = [o for o in self.outstanding if before(self.una, o[1]) and o[0] != self.una and r.random() < 0.4]
                self.sacked = sorted(set(self.sacked + some), key=lambda o: (o[0] - self.una) & M32)
                self.sacked = [o for o in self.sacked if before(self.una, o[0])]
                blocks = []
                for a, b in self.sacked:
                    if blocks and blocks[-1][1] == a:
                        blocks[-1] = (blocks[-1][0], b)
                    else:
                        blocks.append((a, b))
                r.shuffle(blocks)
                if r.random() < 0.12:
                    x = (self.una - r.choice([100, 1000])) & M32
                    blocks.insert(0, (x, (x + 100) & M32))
                if blocks and r.random() < 0.06:
                    blocks[0] = (blocks[0][0] + 7, blocks[0][1])
                self.tcp(ACK, sack=blocks)
                if r.random() < 0.5:
                    self.nap(r.choice([0.0003, 0.002]))
        elif k == "R":
            # the head, sent again, arrives: all up to the first gap
            self.ack_all()
            self.tcp(ACK)
        elif k == "z":
            self.win = r.choice([0, 0, 1, 100, 1000, 30000, 65535])
            self.tcp(ACK)
        elif k == "q":
            self.nap(r.choice([0.05, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9]))
        elif k == "i":
            self.icmp()
        elif k == "e":
            self.tcp(ACK | ECE)
        elif k == "t":
            self.call("setsockopt", fd, level="IPPROTO_TCP", name=r.choice(["TCP_NODELAY", "TCP_CORK", "TCP_QUICKACK"]), value=r.choice([0, 1])) if ok else None
        elif k == "n":
            for _ in range(r.choice([1, 1, 1, 2, 3, 4])):
                n = r.choice([1, 10, 100, 536, 1000, 1448, 1460, 1400, 500])
                self.tcp(ACK | (PSH if r.random() < 0.4 else 0), data=bytes([r.randrange(256)]) * n, tos=self.tos())
                self.nxt = (self.nxt + n) & M32
                if r.random() < 0.3:
                    self.nap(r.choice([0.0002, 0.001, 0.01]))
        elif k == "o":
            skip = r.choice([1, 100, 1000, 3000])
            n = r.choice([1, 100, 1000, 1448])
            self.tcp(ACK, seq=self.nxt + skip, data=bytes(n), tos=self.tos())
            self.holes.append((skip, n))
        elif k == "h":
            # the gap closes
            n = r.choice([100, 1000, 1448, 3000])
            for at in range(0, n, 1448):
                m = min(1448, n - at)
                self.tcp(ACK, data=bytes(m))
                self.nxt = (self.nxt + m) & M32
            if self.acked is not None and before(self.nxt, self.acked):
                self.nxt = self.acked
        elif k == "x":
            n = r.choice([1, 100, 1000])
            back = r.choice([1, 50, 100, 1000, 3000])
            self.tcp(ACK, seq=self.nxt - back, data=bytes(n))
            if n > back:
                self.nxt = (self.nxt + n - back) & M32
        elif k == "u":
            n = r.choice([10, 100])
            self.tcp(ACK | URG, data=bytes(n), urg=r.choice([1, 5, n, n + 1, n + 100]))
            self.nxt = (self.nxt + n) & M32
        elif k == "P":
            self.tcp(ACK, data=bytes(r.choice([0, 1, 100])), ts=self.ts() - r.choice([1, 5, 100000]))
        elif k == "C" and ok:
            self.call("recv", fd, len=100, flags=["MSG_PEEK"])
        elif k == "S" and ok:
            self.call("shutdown", fd, how=r.choice(["WR", "WR", "RD", "RDWR"]))
        elif k == "c" and ok:
            if r.random() < 0.15:
                self.call("setsockopt", fd, level="SOL_SOCKET", name="SO_LINGER", value=[1, 0])
            self.call("close", fd)
        elif k == "F":
            if not self.fin_sent:
                data = bytes(r.choice([0, 0, 10]))
                self.tcp(FIN | ACK, data=data)
                self.nxt = (self.nxt + len(data) + 1) & M32
                self.fin_sent = True
            else:
                self.tcp(FIN | ACK, seq=self.nxt - 1)
        elif k == "B":
            j = r.randrange(9)
            any = lambda: r.choice([-1, 1, 100, -100, 1000, 60000, 200000, -70000, 1 << 31])
            if j == 0:
                self.tcp(RST, seq=self.nxt + any())
            elif j == 1:
                self.tcp(SYN | r.choice([0, ACK]), seq=self.nxt + r.choice([0, any()]))
            elif j == 2:
                self.tcp(ACK, ack=self.una + any())
            elif j == 3:
                self.tcp(ACK, seq=self.nxt + any(), data=bytes(r.choice([0, 1, 10])))
            elif j == 4:
                self.tcp(r.choice([0, PSH, URG, FIN, PSH | URG | FIN]), data=bytes(r.choice([0, 5])))
            elif j == 5:
                self.tcp(FIN | ACK, seq=self.nxt + r.choice([1, 100, -1]))
            elif j == 6:
                self.tcp(RST | ACK, seq=self.nxt + r.choice([1, -1, 10]))
            elif j == 7 and r.random() < 0.3:
                self.tcp(RST)
            else:
                self.tcp(ACK, data=bytes(5), ts="none")
        elif k == "U" and ok:
            self.call("send", fd, len=r.choice([1, 100]), flags=["MSG_OOB"])
        elif k == "Y":
            self.tcp(ACK, data=bytes(1), ts=self.ts() - r.choice([1, 1000, 100000]))
        elif k == "T":
            self.win = r.choice([0, 1, 65535])
            self.tcp(ACK)
        self.nap(r.choice([0.0003, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.06]))

    def tos(self):
        return self.r.choice([0, 2, 2, 3]) if self.peer_ecn else 0

    def run(self, limit=2.6):
        r = self.r
        end = time.monotonic() + limit
        fd = self.open()
        steps = r.randrange(8, 40)
        while steps > 0 and time.monotonic() < end:
            steps -= 1
            if fd is None:
                self.tcp(r.choice([ACK, SYN, RST, FIN | ACK]), seq=self.nxt + r.choice([0, 0, 1, -1]))
                self.nap(0.01)
                continue
            self.step(fd)
        if r.random() < 0.4 and fd in self.fds:
            self.call("close", fd)
            self.nap(0.01)
            for _ in range(r.randrange(6)):
                self.after_close()
        self.nap(0.3 if r.random() < 0.5 else 0.05)
        self.w.drain()

    def after_close(self):
        r = self.r
        k = r.randrange(8)
        if k <= 2:
            self.ack_all()
            self.tcp(ACK)
        elif k == 3:
            self.tcp(FIN | ACK)
            if not self.fin_sent:
                self.nxt = (self.nxt + 1) & M32
            self.fin_sent = True
        elif k == 4:
            self.tcp(ACK, data=bytes(10))
        elif k == 5:
            self.tcp(SYN, seq=self.nxt + r.choice([1000, -1000, 0]), ack=0)
        elif k == 6:
            self.tcp(RST, seq=self.nxt + r.choice([0, 1, -1]))
        else:
            self.tcp(FIN | ACK, seq=self.nxt - 1)
        self.nap(r.choice([0.001, 0.01, 0.6]))

    def write(self, path):
        events = [e for _, _, e in sorted(self.w.events, key=lambda e: (e[0], e[1]))]
        with open(path, "w") as f:
            f.write(json.dumps(self.head) + "\n")
            for e in events:
                f.write(json.dumps(e, separators=(",", ":")) + "\n")


def one(seed, out):
    t = Talk(seed)
    t.run()
    t.write(os.path.join(out, f"{seed}.ndjson"))


RMEM_MAX = int(open("/proc/sys/net/core/rmem_max").read())
JIFFIES = jiffies_phase()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("first", type=int)
    p.add_argument("last", type=int, nargs="?")
    p.add_argument("--out", required=True)
    p.add_argument("--jobs", type=int, default=8)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    running = set()
    bad = 0
    for seed in range(a.first, (a.last or a.first) + 1):
        while len(running) >= a.jobs:
            pid, status = os.wait()
            running.discard(pid)
            bad += status != 0
        pid = os.fork()
        if pid == 0:
            try:
                one(seed, a.out)
                os._exit(0)
            except BaseException as e:
                import traceback
                traceback.print_exc()
                os._exit(1)
        running.add(pid)
    while running:
        pid, status = os.wait()
        running.discard(pid)
        bad += status != 0
    if bad:
        sys.exit(f"{bad} failed")


main()
