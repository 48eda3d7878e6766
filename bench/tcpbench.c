// bench/tcpbench.c: TCP from one network namespace to another, both ends blocking, one connection at a time.
// tcpbench CLIENT-NS SERVER-NS ADDRESS PORT SERVER-PORT (names below /run/netns). Lines in, lines out: `ready`;
// `bulk MS` -> Gbit/s that came; `pingpong MS` -> thousand round trips of 64 bytes a second; `connections MS` ->
// thousand connections a second; `seen KIND` -> what came of one, in words.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
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

enum { SMALL = 64, SOME = 1000000, ROOM = 1 << 18 };

static struct sockaddr_in to;
static int listener;
static char from[64];
static atomic_int echo, check;
static atomic_uint sum;
static atomic_ulong came, ended;

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

/** FNV-1a */
static uint32_t fnv(uint32_t h, const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 16777619u;
  return h;
}

static void pattern(uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(i * 31 + 7);
}

static void *serve(void *unused) {
  (void)unused;
  static uint8_t buffer[ROOM];
  for (;;) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    const int fd = accept(listener, (void *)&peer, &length);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      die("accept");
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    inet_ntop(AF_INET, &peer.sin_addr, from, sizeof from);
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
      if (atomic_load(&check)) atomic_store(&sum, fnv(atomic_load(&sum), buffer, n));
      atomic_fetch_add(&came, n);
      if (atomic_load(&echo) && write(fd, buffer, n) != n) break;
    }
    close(fd);
    atomic_fetch_add(&ended, 1);
  }
  return NULL;
}

static int dial(void) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (fd < 0) return -1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (void *)&to, sizeof to) == 0) return fd;
  close(fd);
  return -1;
}

static int put(int fd, const uint8_t *p, size_t n) {
  while (n > 0) {
    const ssize_t k = write(fd, p, n);
    if (k <= 0) return 0;
    p += k;
    n -= k;
  }
  return 1;
}

static int get(int fd, uint8_t *p, size_t n) {
  while (n > 0) {
    const ssize_t k = read(fd, p, n);
    if (k <= 0) return 0;
    p += k;
    n -= k;
  }
  return 1;
}

/** Waits until the server has ended so many connections. */
static void finish(unsigned long n) {
  for (int i = 0; i < 100000 && atomic_load(&ended) < n; i++) usleep(50);
}

static double bulk(int ms) {
  static uint8_t data[ROOM];
  atomic_store(&echo, 0);
  const unsigned long before = atomic_load(&came), due = atomic_load(&ended) + 1;
  const double start = seconds(), until = start + ms / 1e3;
  const int fd = dial();
  if (fd < 0) return -1;
  while (seconds() < until && put(fd, data, sizeof data))
    ;
  close(fd);
  finish(due);
  return (atomic_load(&came) - before) * 8 / (seconds() - start) / 1e9;
}

static double pingpong(int ms) {
  uint8_t data[SMALL] = {0};
  atomic_store(&echo, 1);
  const unsigned long due = atomic_load(&ended) + 1;
  const int fd = dial();
  if (fd < 0) return -1;
  const double start = seconds(), until = start + ms / 1e3;
  double n = 0;
  while (seconds() < until && put(fd, data, SMALL) && get(fd, data, SMALL)) n++;
  const double took = seconds() - start;
  close(fd);
  finish(due);
  return n / took / 1e3;
}

static double connections(int ms) {
  atomic_store(&echo, 0);
  const double start = seconds(), until = start + ms / 1e3;
  unsigned long n = 0, due = atomic_load(&ended);
  while (seconds() < until) {
    const int fd = dial();
    if (fd < 0) return -1;
    close(fd);
    n++;
  }
  finish(due + n);
  return n / (seconds() - start) / 1e3;
}

static void seen(const char *kind) {
  static uint8_t data[SOME];
  const size_t n = strcmp(kind, "bulk") == 0 ? SOME : strcmp(kind, "pingpong") == 0 ? SMALL : 0;
  pattern(data, n);
  atomic_store(&sum, 2166136261u);
  atomic_store(&check, 1);
  atomic_store(&echo, n == SMALL);
  const unsigned long before = atomic_load(&came), due = atomic_load(&ended) + 1;
  const int fd = dial();
  if (fd < 0 || !put(fd, data, n)) {
    printf("no connection: %s\n", strerror(errno));
    return;
  }
  uint32_t back = 2166136261u;
  if (n == SMALL && get(fd, data, n)) back = fnv(back, data, n);
  close(fd);
  finish(due);
  atomic_store(&check, 0);
  printf("%lu bytes, sum %u, from %s", atomic_load(&came) - before, atomic_load(&sum), from);
  if (n == SMALL) printf(", back %u", back);
  puts("");
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  enter(argv[2]);
  const int on = 1;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[5]))};
  if (bind(listener, (void *)&any, sizeof any) != 0 || listen(listener, 1024) != 0) die("listen");
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve, NULL) != 0) die("pthread_create");
  enter(argv[1]);
  to = (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(atoi(argv[4])), .sin_addr.s_addr = inet_addr(argv[3])};
  char line[64], what[16], word[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    word[0] = 0;
    if (sscanf(line, "%15s %15s", what, word) < 1) continue;
    double rate;
    if (strcmp(what, "ready") == 0) {
      puts("ready");
      fflush(stdout);
      continue;
    }
    if (strcmp(what, "seen") == 0) {
      seen(word);
      fflush(stdout);
      continue;
    }
    if (strcmp(what, "bulk") == 0) rate = bulk(atoi(word));
    else if (strcmp(what, "pingpong") == 0) rate = pingpong(atoi(word));
    else rate = connections(atoi(word));
    if (rate < 0) printf("no connection: %s\n", strerror(errno));
    else printf("%.6f\n", rate);
    fflush(stdout);
  }
  return 0;
}
