#!/usr/bin/python3
"""A network namespace with a kernel's TCP behind a TUN device, for a test that is the other end (root; Linux).

    wire.py MODE BYTES [SEED LOSS]

The device's packets go over stdio, each behind its length (u16, big endian). The kernel is 10.9.0.1, the test 10.9.0.2.
`serve`: an HTTP server with BYTES of zeros at /; `fetch`: gets http://10.9.0.2/ and POSTs as much as it got.
LOSS in 1000 packets is lost in each direction. A line on stderr tells the end: `ok N`, or what went wrong.
"""
import ctypes, fcntl, hashlib, http.client, http.server, os, random, select, struct, subprocess, sys, threading

mode, size = sys.argv[1], int(sys.argv[2])
rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
loss = int(sys.argv[4]) if len(sys.argv) > 4 else 0
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:
    sys.exit("unshare")
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
subprocess.run(["ip", "-batch", "-"], check=True, text=True,
               input="link set lo up\naddr add 10.9.0.1/24 dev tun0\nlink set tun0 up\n")
data = bytes(i * i % 251 for i in range(size))


def say(text):
    os.write(2, (text + "\n").encode())


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = hashlib.sha256(body).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def fetch():
    try:
        c = http.client.HTTPConnection("10.9.0.2", 80, timeout=60)
        c.request("GET", "/")
        got = c.getresponse().read()
        c.close()
        c = http.client.HTTPConnection("10.9.0.2", 80, timeout=60)
        c.request("POST", "/", got)
        said = c.getresponse().read().decode()
        c.close()
        same = got == data and said == hashlib.sha256(data).hexdigest()
        say(f"ok {len(got)}" if same else f"wrong: {len(got)} bytes")
    except Exception as e:
        say(f"failed: {e!r}")


if mode == "serve":
    server = http.server.ThreadingHTTPServer(("10.9.0.1", 80), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("ready")
else:
    threading.Thread(target=fetch, daemon=True).start()

buffer = b""
while True:
    ready, _, _ = select.select([0, tun], [], [])
    if tun in ready:
        p = os.read(tun, 70000)
        if p[0] >> 4 == 4 and rng.randrange(1000) >= loss:
            os.write(1, struct.pack("!H", len(p)) + p)
    if 0 in ready:
        more = os.read(0, 1 << 16)
        if not more:
            break
        buffer += more
        while len(buffer) >= 2 and len(buffer) >= 2 + struct.unpack("!H", buffer[:2])[0]:
            n = struct.unpack("!H", buffer[:2])[0]
            p, buffer = buffer[2:2 + n], buffer[2 + n:]
            if rng.randrange(1000) >= loss:
                os.write(tun, p)
