// bench/udpflood.c: datagrams from one network namespace to a socket in another, for a while.
// udpflood CLIENT-NS WEB-NS (names below /run/netns). Lines in, lines out: `ready`; `udp MS` and `raw MS` -> Mpkt/s
// that came to the socket, sent from a UDP socket or as frames on the client's wire; `seen KIND` -> one, in words.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, PAYLOAD = 18, SOURCE_PORT = 4000, PORT = 5353 };

static const char *client_address = "203.0.113.10", *host_address = "198.51.100.20";
static const uint8_t client_mac[] = {2, 0, 0xcb, 0, 0x71, 0x0a}, router_mac[] = {2, 0, 0xcb, 0, 0x71, 1};

static int udp_socket, raw_socket, web_socket;
static atomic_ulong received;
static atomic_int running;

static void die(const char *what) {
  perror(what);
  exit(2);
}

static void enter(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", name);
  const int fd = open(path, O_RDONLY);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) die(path);
  close(fd);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static uint8_t frame[sizeof(struct ether_header) + 28 + PAYLOAD], payload[PAYLOAD];

static void make_frame(void) {
  struct ether_header *eth = (void *)frame;
  struct iphdr *ip = (void *)(eth + 1);
  struct udphdr *udp = (void *)(ip + 1);
  memcpy(eth->ether_dhost, router_mac, 6);
  memcpy(eth->ether_shost, client_mac, 6);
  eth->ether_type = htons(ETHERTYPE_IP);
  *ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .frag_off = htons(IP_DF)};
  ip->tot_len = htons(sizeof frame - sizeof *eth);
  ip->saddr = inet_addr(client_address);
  ip->daddr = inet_addr(host_address);
  uint32_t sum = 0;
  for (int i = 0; i < 10; i++) {
    uint16_t w;
    memcpy(&w, (uint8_t *)ip + 2 * i, 2);
    sum += w;
  }
  sum = (sum & 0xffff) + (sum >> 16);
  ip->check = ~((sum & 0xffff) + (sum >> 16));
  udp->source = htons(SOURCE_PORT);
  udp->dest = htons(PORT);
  udp->len = htons(sizeof *udp + PAYLOAD);
  memcpy(udp + 1, payload, PAYLOAD);
  // over the pseudo-header as well
  sum = htons(IPPROTO_UDP) + udp->len;
  for (int i = 0; i < (8 + 8 + PAYLOAD) / 2; i++) {
    uint16_t w;
    memcpy(&w, (uint8_t *)&ip->saddr + 2 * i, 2);
    sum += w;
  }
  sum = (sum & 0xffff) + (sum >> 16);
  udp->check = ~((sum & 0xffff) + (sum >> 16));
}

static void *receive(void *unused) {
  (void)unused;
  static uint8_t buffers[BATCH][64];
  struct iovec iov[BATCH];
  struct mmsghdr m[BATCH] = {0};
  for (int i = 0; i < BATCH; i++) {
    iov[i] = (struct iovec){buffers[i], sizeof buffers[i]};
    m[i].msg_hdr.msg_iov = &iov[i];
    m[i].msg_hdr.msg_iovlen = 1;
  }
  while (atomic_load(&running)) {
    const int n = recvmmsg(web_socket, m, BATCH, MSG_WAITFORONE, NULL);
    if (n > 0) atomic_fetch_add(&received, n);
  }
  return NULL;
}

static void drain(void) {
  char b[64];
  while (recv(web_socket, b, sizeof b, MSG_DONTWAIT) >= 0)
    ;
}

static double flood(int fd, const void *bytes, size_t length, int ms) {
  struct iovec iov = {(void *)bytes, length};
  struct mmsghdr m[BATCH] = {0};
  for (int i = 0; i < BATCH; i++) {
    m[i].msg_hdr.msg_iov = &iov;
    m[i].msg_hdr.msg_iovlen = 1;
  }
  drain();
  atomic_store(&received, 0);
  atomic_store(&running, 1);
  pthread_t thread;
  if (pthread_create(&thread, NULL, receive, NULL) != 0) die("pthread_create");
  const double from = seconds(), until = from + ms / 1e3;
  while (seconds() < until) sendmmsg(fd, m, BATCH, 0);
  const double took = seconds() - from;
  const unsigned long n = atomic_load(&received);
  atomic_store(&running, 0);
  pthread_join(thread, NULL);
  return n / took / 1e6;
}

static void seen(int fd, const void *bytes, size_t length) {
  drain();
  if (send(fd, bytes, length, 0) < 0) {
    perror("send");
    puts("nothing sent");
    return;
  }
  uint8_t data[256], control[256];
  struct sockaddr_in from;
  struct iovec iov = {data, sizeof data};
  struct msghdr m = {&from, sizeof from, &iov, 1, control, sizeof control, 0};
  ssize_t n = -1;
  for (int tries = 0; tries < 10 && n < 0; tries++) n = recvmsg(web_socket, &m, 0);
  if (n < 0) {
    puts("nothing came");
    return;
  }
  int ttl = -1;
  char to[32] = "?";
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_type == IP_TTL) memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
    if (c->cmsg_type == IP_PKTINFO) inet_ntop(AF_INET, &((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr, to, sizeof to);
  }
  printf("%s:%d > %s:53 ttl %d length %zd\n", inet_ntoa(from.sin_addr), ntohs(from.sin_port), to, ttl, n);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  memset(payload, 'a', sizeof payload);
  make_frame();
  const int on = 1, room = 8 << 20;
  enter(argv[2]);
  web_socket = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(53)};
  if (bind(web_socket, (void *)&any, sizeof any) != 0) die("bind");
  const struct timeval patience = {0, 200000};
  setsockopt(web_socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(web_socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(web_socket, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
  setsockopt(web_socket, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  enter(argv[1]);
  udp_socket = socket(AF_INET, SOCK_DGRAM, 0);
  any.sin_port = htons(SOURCE_PORT);
  struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = inet_addr(host_address)};
  if (bind(udp_socket, (void *)&any, sizeof any) != 0 || connect(udp_socket, (void *)&host, sizeof host) != 0) die("connect");
  raw_socket = socket(AF_PACKET, SOCK_RAW, 0);
  setsockopt(raw_socket, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
  struct sockaddr_ll wire = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("eth0")};
  if (bind(raw_socket, (void *)&wire, sizeof wire) != 0) die("bind to eth0");
  char line[64], what[16], word[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    word[0] = 0;
    sscanf(line, "%15s %15s", what, word);
    if (strcmp(what, "ready") == 0) puts("ready");
    else if (strcmp(what, "seen") == 0) {
      // neighbours are looked up by the first
      if (send(udp_socket, payload, PAYLOAD, 0) > 0)
        for (int tries = 0; tries < 10 && recv(web_socket, line, sizeof line, 0) < 0; tries++)
          ;
      if (strcmp(word, "raw") == 0) seen(raw_socket, frame, sizeof frame);
      else seen(udp_socket, payload, PAYLOAD);
    } else if (strcmp(what, "raw") == 0) printf("%.6f\n", flood(raw_socket, frame, sizeof frame, atoi(word)));
    else printf("%.6f\n", flood(udp_socket, payload, PAYLOAD, atoi(word)));
    fflush(stdout);
  }
  return 0;
}
