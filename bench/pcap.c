// bench/pcap.c: a pcap file to columns in C, every checksum verified: chunks of 256 KiB, or (-DLIBPCAP) libpcap.
// pcap FILE. Lines in, lines out: `digest` -> what was found; `run` -> Mpkt/s.

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef LIBPCAP
#include <pcap/pcap.h>
#endif

enum { CHUNK = 1 << 18, COLUMNS = 4096, UNVERIFIED = 2, ABSENT = 3 };

// the columns of some packets, written over again and again as a consumer would leave them
static struct {
  uint32_t seconds[COLUMNS], fraction[COLUMNS], captured[COLUMNS], length[COLUMNS];
  uint32_t src[COLUMNS], dst[COLUMNS], ports[COLUMNS], net[COLUMNS], transport[COLUMNS], payload[COLUMNS];
  uint16_t type[COLUMNS];
  uint8_t proto[COLUMNS], net_status[COLUMNS], status[COLUMNS];
} columns;

static struct {
  uint64_t packets, net_good, good, bad, absent;
  uint32_t addresses, ports;
} tally;

static int tallying;

static inline uint32_t be16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static inline uint32_t be32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}

static inline uint64_t sum(const uint8_t *p, uint32_t n, uint64_t s) {
  for (; n >= 4; p += 4, n -= 4) {
    uint32_t w;
    memcpy(&w, p, 4);
    s += w;
  }
  if (n >= 2) {
    uint16_t w;
    memcpy(&w, p, 2);
    s += w;
    p += 2;
    n -= 2;
  }
  return n ? s + *p : s;
}

static inline int verifies(uint64_t s) {
  s = (s & 0xffffffff) + (s >> 32);
  s = (s & 0xffff) + (s >> 16 & 0xffff) + (s >> 32);
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return s == 0xffff;
}

static inline void packet(const uint8_t *p, uint32_t captured, uint32_t length, uint32_t seconds, uint32_t fraction) {
  const uint64_t n = tally.packets++;
  const uint32_t i = n % COLUMNS;
  columns.seconds[i] = seconds;
  columns.fraction[i] = fraction;
  columns.captured[i] = captured;
  columns.length[i] = length;
  columns.net_status[i] = columns.status[i] = UNVERIFIED;
  columns.src[i] = columns.dst[i] = columns.ports[i] = columns.proto[i] = 0;
  columns.net[i] = columns.transport[i] = columns.payload[i] = columns.type[i] = 0;
  uint32_t at = 14;
  if (captured < at) return;
  uint32_t type = be16(p + 12);
  while (type == 0x8100 && captured >= at + 4) {
    type = be16(p + at + 2);
    at += 4;
  }
  columns.type[i] = type;
  columns.net[i] = at;
  if (type != 0x0800 || captured < at + 20 || p[at] >> 4 != 4) return;
  const uint8_t *ip = p + at;
  const uint32_t header = (ip[0] & 15) * 4, total = be16(ip + 2);
  if (header < 20 || total < header || captured < at + header) return;
  const uint32_t src = be32(ip + 12), dst = be32(ip + 16), proto = ip[9];
  columns.src[i] = src;
  columns.dst[i] = dst;
  columns.proto[i] = proto;
  const int net_good = verifies(sum(ip, header, 0));
  columns.net_status[i] = net_good;
  uint32_t status = UNVERIFIED, ports = 0;
  columns.transport[i] = at + header;
  const uint32_t left = captured - at, whole = total <= left;
  const uint8_t *t = ip + header;
  const uint32_t len = (whole ? total : left) - header;
  if ((be16(ip + 6) & 0x1fff) == 0) {
    const int verifiable = whole && (be16(ip + 6) & 0x2000) == 0;
    uint32_t w[2];
    memcpy(w, ip + 12, 8);
    const uint64_t pseudo = (uint64_t)w[0] + w[1] + (proto << 8) + __builtin_bswap16(len);
    if (proto == 6 && len >= 20) {
      ports = be32(t);
      columns.payload[i] = at + header + (t[12] >> 4) * 4;
      if (verifiable) status = verifies(sum(t, len, pseudo));
    } else if (proto == 17 && len >= 8) {
      ports = be32(t);
      columns.payload[i] = at + header + 8;
      if (be16(t + 6) == 0) status = ABSENT;
      else if (verifiable && be16(t + 4) == len) status = verifies(sum(t, len, pseudo));
    } else if (proto == 1 && len >= 8 && verifiable) status = verifies(sum(t, len, 0));
  }
  columns.ports[i] = ports;
  columns.status[i] = status;
  if (__builtin_expect(tallying, 0)) {
    tally.net_good += net_good;
    tally.good += status == 1;
    tally.bad += status == 0;
    tally.absent += status == ABSENT;
    tally.addresses += src + dst;
    tally.ports += ports;
  }
}

#ifdef LIBPCAP
static void walk(const char *path) {
  char error[PCAP_ERRBUF_SIZE];
  pcap_t *file = pcap_open_offline(path, error);
  if (file == NULL) exit(2);
  struct pcap_pkthdr *h;
  const u_char *bytes;
  while (pcap_next_ex(file, &h, &bytes) == 1) packet(bytes, h->caplen, h->len, h->ts.tv_sec, h->ts.tv_usec);
  pcap_close(file);
}
#else
static void walk(const char *path) {
  static uint8_t buffer[CHUNK + (1 << 18) + 16];
  const int fd = open(path, O_RDONLY);
  size_t have = 0, at = 24;
  ssize_t n;
  while ((n = read(fd, buffer + have, CHUNK)) > 0) {
    have += n;
    while (at + 16 <= have) {
      uint32_t h[4];
      memcpy(h, buffer + at, 16);
      if (h[2] > 1 << 18) exit(2);
      if (at + 16 + h[2] > have) break;
      packet(buffer + at + 16, h[2], h[3], h[0], h[1]);
      at += 16 + h[2];
    }
    memmove(buffer, buffer + at, have - at);
    have -= at;
    at = 0;
  }
  close(fd);
}
#endif

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    memset(&tally, 0, sizeof tally);
    tallying = strncmp(line, "digest", 6) == 0;
    const double from = seconds();
    walk(argv[1]);
    if (!tallying) printf("%.6f\n", tally.packets / (seconds() - from) / 1e6);
    else
      printf("%lu packets, IPv4 good %lu, good %lu, bad %lu, absent %lu, sums %x %x\n", tally.packets, tally.net_good, tally.good,
             tally.bad, tally.absent, tally.addresses, tally.ports);
    fflush(stdout);
  }
  return 0;
}
