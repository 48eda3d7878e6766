#!/usr/bin/env python3
"""Random calls on BSD sockets, and what a Linux kernel answered, as JSON lines: [[call, answer], ...].

    calls.py FIRST LAST > fixtures/posix/calls.ndjson

Run as root: each sequence has a network namespace of its own with nothing but loopback. All sockets are nonblocking;
2 ms pass between two calls, so that loopback is done with one before the next. A call names its socket by the order in
which sockets were asked for ("s"); accept asks for one as well.
"""
import ctypes
import errno
import fcntl
import json
import os
import random
import socket
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
OPTIONS = {
    "SO_ERROR": (1, 4), "SO_TYPE": (1, 3), "SO_ACCEPTCONN": (1, 30), "SO_REUSEADDR": (1, 2), "SO_KEEPALIVE": (1, 9),
    "SO_BROADCAST": (1, 6), "SO_RCVBUF": (1, 8), "SO_LINGER": (1, 13), "SO_OOBINLINE": (1, 10), "SO_RCVLOWAT": (1, 18),
    "TCP_NODELAY": (6, 1), "TCP_CORK": (6, 3), "TCP_KEEPIDLE": (6, 4), "TCP_KEEPINTVL": (6, 5), "TCP_KEEPCNT": (6, 6),
    "TCP_SYNCNT": (6, 7), "TCP_LINGER2": (6, 8), "TCP_USER_TIMEOUT": (6, 18), "IP_TOS": (0, 1), "IP_TTL": (0, 2),
    "IP_MTU_DISCOVER": (0, 10), "IP_RECVERR": (0, 11), "IP_MTU": (0, 14),
}
IOCTLS = {"SIOCINQ": 0x541B, "SIOCOUTQ": 0x5411, "SIOCATMARK": 0x8905}
SETTABLE = [o for o in OPTIONS if o not in ("SO_ERROR", "SO_TYPE", "SO_ACCEPTCONN", "IP_MTU", "SO_RCVBUF")]
FLAGS = {
    "MSG_OOB": 1, "MSG_PEEK": 2, "MSG_TRUNC": 0x20, "MSG_DONTWAIT": 0x40, "MSG_WAITALL": 0x100, "MSG_ERRQUEUE": 0x2000,
    "MSG_NOSIGNAL": 0x4000, "MSG_MORE": 0x8000,
}
POLL = [
    ("POLLIN", 1), ("POLLPRI", 2), ("POLLOUT", 4), ("POLLERR", 8), ("POLLHUP", 16), ("POLLNVAL", 32), ("POLLRDNORM", 64),
    ("POLLRDBAND", 128), ("POLLWRNORM", 256), ("POLLWRBAND", 512), ("POLLRDHUP", 0x2000),
]


def sequence(r, length):
    """Calls that are likely to mean something: often there is a connection to begin with."""
    calls = []
    kinds = []

    def add(**call):
        calls.append(call)

    for _ in range(r.choice([2, 3, 4])):
        kinds.append(r.choice(["stream", "stream", "stream", "dgram"]))
        add(fn="socket", type=kinds[-1])
    if r.random() < 0.6 and kinds[:2] == ["stream", "stream"]:
        add(fn="bind", s=0, ip="127.0.0.1", port=5001)
        add(fn="listen", s=0, backlog=r.choice([0, 1, 5]))
        add(fn="connect", s=1, ip="127.0.0.1", port=5001)
        add(fn="accept", s=0)
        kinds.append("stream")
    if r.random() < 0.5 and "dgram" in kinds:
        add(fn="bind", s=kinds.index("dgram"), ip="0.0.0.0", port=5002)
    address = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "0.0.0.0"]
    for _ in range(length):
        s = r.randrange(len(kinds))
        x = r.random()
        if x < 0.06:
            add(fn="bind", s=s, ip=r.choice([*address, "1.2.3.4"]), port=r.choice([5001, 5002, 5003]))
        elif x < 0.11:
            add(fn="listen", s=s, backlog=r.choice([0, 1, 5]))
        elif x < 0.18:
            add(fn="accept", s=s)
            kinds.append("stream")
        elif x < 0.28:
            add(fn="connect", s=s, ip=r.choice(address), port=r.choice([5001, 5002, 5003]))
        elif x < 0.42:
            flags = r.sample(["MSG_OOB", "MSG_MORE", "MSG_DONTWAIT"], r.choice([0, 0, 0, 0, 1]))
            add(fn="send", s=s, len=r.choice([0, 1, 10, 100, 1000]), flags=flags)
        elif x < 0.46:
            port = r.choice([5001, 5002, 5003, 0])
            add(fn="sendto", s=s, len=r.choice([0, 1, 10, 70000]), ip="127.0.0.1", port=port, flags=[])
        elif x < 0.64:
            names = ["MSG_PEEK", "MSG_TRUNC", "MSG_OOB", "MSG_WAITALL", "MSG_ERRQUEUE"]
            add(fn="recv", s=s, len=r.choice([0, 1, 5, 1000]), flags=r.sample(names, r.choice([0, 0, 0, 1, 1, 2])))
        elif x < 0.70:
            add(fn="shutdown", s=s, how=r.choice(["RD", "WR", "RDWR"]))
        elif x < 0.75:
            add(fn="close", s=s)
        elif x < 0.83:
            add(fn="getsockopt", s=s, name=r.choice([*OPTIONS, *["SO_ERROR"] * 5, *IOCTLS]))
        elif x < 0.90:
            name = r.choice(SETTABLE)
            value = r.choice([0, 1, 1, 2, 5, 100, 1000, 40000, -1])
            add(fn="setsockopt", s=s, name=name, value=[r.choice([0, 1]), r.choice([0, 0, 5])] if name == "SO_LINGER" else value)
        elif x < 0.93:
            add(fn="socket", type=r.choice(["stream", "dgram"]))
            kinds.append("x")
        else:
            add(fn="poll", s=s)
    return calls


class Sockaddr(ctypes.Structure):
    _fields_ = [("family", ctypes.c_ushort), ("port", ctypes.c_ushort), ("addr", ctypes.c_uint), ("zero", ctypes.c_char * 8)]


def sockaddr(call):
    return ctypes.byref(Sockaddr(2, socket.htons(call["port"]), struct.unpack("=I", socket.inet_aton(call["ip"]))[0], b""))


def name_of(code):
    return {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN"}.get(errno.errorcode[code], errno.errorcode[code])


def answer_of(ret, **more):
    return {"ret": -1, "errno": name_of(ctypes.get_errno())} if ret < 0 else {"ret": ret, **more}


def run(calls):
    """In a namespace of its own, in the order given."""
    libc.unshare(0x40000000)
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x41, b""))
    fds = []
    answers = []
    for call in calls:
        ctypes.set_errno(0)
        fd = fds[call["s"]] if "s" in call and call["s"] < len(fds) else -1
        answers.append(one(call, fd, fds))
        time.sleep(0.002)
    return answers


def one(call, fd, fds):
    fn = call["fn"]
    if fn == "socket":
        fds.append(libc.socket(2, (1 if call["type"] == "stream" else 2) | 0x800, 0))
        return {"ret": 0}
    if fn == "bind":
        return answer_of(libc.bind(fd, sockaddr(call), 16))
    if fn == "listen":
        return answer_of(libc.listen(fd, call["backlog"]))
    if fn == "accept":
        got = libc.accept4(fd, None, None, 0x800)
        fds.append(got)
        return answer_of(got) if got < 0 else {"ret": 0}
    if fn == "connect":
        return answer_of(libc.connect(fd, sockaddr(call), 16))
    if fn in ("send", "sendto"):
        flags = sum(FLAGS[f] for f in {*call["flags"], "MSG_NOSIGNAL", "MSG_DONTWAIT"})
        data = bytes(call["len"])
        to = (sockaddr(call), 16) if fn == "sendto" else (None, 0)
        return answer_of(libc.sendto(fd, data, len(data), flags, *to))
    if fn == "recv":
        flags = sum(FLAGS[f] for f in {*call["flags"], "MSG_DONTWAIT"})
        return answer_of(libc.recv(fd, ctypes.create_string_buffer(max(1, call["len"])), call["len"], flags))
    if fn == "shutdown":
        return answer_of(libc.shutdown(fd, {"RD": 0, "WR": 1, "RDWR": 2}[call["how"]]))
    if fn == "close":
        if call["s"] < len(fds):
            fds[call["s"]] = -1
        return answer_of(libc.close(fd))
    if fn == "poll":
        p = (ctypes.c_byte * 8)()
        struct.pack_into("ihh", p, 0, fd if fd >= 0 else 999, sum(bit for _, bit in POLL), 0)
        ret = libc.poll(p, 1, 0)
        bits = struct.unpack_from("ihh", p, 0)[2] & 0xFFFF
        return {"ret": ret, "revents": [[n for n, bit in POLL if bits & bit]]}
    name = call["name"]
    if name in IOCTLS:
        value = ctypes.c_int(0)
        ret = libc.ioctl(fd, IOCTLS[name], ctypes.byref(value))
        return answer_of(ret, value=value.value)
    level, number = OPTIONS[name]
    pair = name == "SO_LINGER"
    if fn == "setsockopt":
        values = call["value"] if pair else [call["value"], 0]
        return answer_of(libc.setsockopt(fd, level, number, (ctypes.c_int * 2)(*values), 8 if pair else 4))
    buf = (ctypes.c_int * 2)()
    size = ctypes.c_uint(8 if pair else 4)
    ret = libc.getsockopt(fd, level, number, buf, ctypes.byref(size))
    value = [buf[0], buf[1]] if pair else buf[0]
    if name == "SO_ERROR" and value:
        value = name_of(value)
    return answer_of(ret, value=value)


def in_child(calls):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.write(writer, json.dumps(run(calls)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as f:
        answers = json.loads(f.read())
    os.wait()
    return answers


for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    calls = sequence(random.Random(seed), 30)
    print(json.dumps(list(zip(calls, in_child(calls))), separators=(",", ":")))
