// bench/rte_lpm.c: DPDK's rte_lpm with the same routes and keys. rte_lpm ROUTES KEYS KEYS KEYS (see lpm.c).
// Lines in, lines out: `ready`, `digest KIND`, `bulk KIND`, `x4 KIND`, `single KIND` -> ns a lookup, `bytes` -> MiB.

#include <rte_eal.h>
#include <rte_lpm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 256, MASK = 0x00ffffff, TBL8 = 4096 };

struct route {
  uint32_t prefix, len, value;
};

static struct route *routes;
static size_t route_count;
static struct rte_lpm *lpm;

static void *slurp(const char *path, size_t *bytes) {
  FILE *f = fopen(path, "rb");
  if (f == NULL) exit(2);
  fseek(f, 0, SEEK_END);
  *bytes = ftell(f);
  rewind(f);
  void *p = aligned_alloc(64, (*bytes + 63) & ~63ul);
  if (p == NULL || fread(p, 1, *bytes, f) != *bytes) exit(2);
  fclose(f);
  return p;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void add(const struct route *r) {
  // it has no /0: two halves of it stand in for that
  if (r->len == 0) {
    rte_lpm_add(lpm, 0, 1, r->value);
    rte_lpm_add(lpm, 1u << 31, 1, r->value);
  } else if (rte_lpm_add(lpm, r->prefix, r->len, r->value) < 0) {
    puts("rte_lpm_add failed");
    exit(2);
  }
}

// DPDK is made for huge pages: where none are set aside, transparent ones do (MADV_HUGEPAGE, MADV_COLLAPSE)
static void huge(void *p, size_t bytes) {
  const uintptr_t size = 2 << 20, first = ((uintptr_t)p + size - 1) & -size, end = ((uintptr_t)p + bytes) & -size;
  if (end <= first) return;
  madvise((void *)first, end - first, 14);
  madvise((void *)first, end - first, 25);
}

// Its rules are searched one by one: with 0.6 M of /24 rte_lpm_add takes two minutes. So these go into the first level
// as rte_lpm_add would write them, without a rule; lookups see no difference.
static void build(void) {
  const struct rte_lpm_config config = {.max_rules = 1 << 20, .number_tbl8s = TBL8};
  lpm = rte_lpm_create("bench", SOCKET_ID_ANY, &config);
  if (lpm == NULL) {
    puts("rte_lpm_create failed");
    exit(2);
  }
  for (int len = 0; len <= 32; len++)
    for (size_t i = 0; i < route_count; i++) {
      const struct route *r = &routes[i];
      if (r->len != (uint32_t)len) continue;
      if (len != 24) add(r);
      else lpm->tbl24[r->prefix >> 8] = (struct rte_lpm_tbl_entry){.next_hop = r->value, .valid = 1, .depth = 24};
    }
  huge(lpm->tbl24, sizeof lpm->tbl24);
  huge(lpm->tbl8, TBL8 * 256ul * 4);
}

static void bulk(const uint32_t *keys, uint32_t *out) { rte_lpm_lookup_bulk(lpm, keys, out, BATCH); }

static void x4(const uint32_t *keys, uint32_t *out) {
  for (int i = 0; i < BATCH; i += 4) {
    uint32_t hop[4];
    rte_lpm_lookupx4(lpm, _mm_loadu_si128((const __m128i *)(keys + i)), hop, 0);
    memcpy(out + i, hop, sizeof hop);
  }
}

static void single(const uint32_t *keys, uint32_t *out) {
  for (int i = 0; i < BATCH; i++)
    if (rte_lpm_lookup(lpm, keys[i], &out[i]) != 0) out[i] = 0;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  char *eal[] = {"rte_lpm", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "768", "--log-level", "*:error",
                 "-c", "3", NULL};
  // its messages are not answers
  const int answers = dup(1);
  dup2(2, 1);
  const int good = rte_eal_init(sizeof eal / sizeof *eal - 1, eal);
  fflush(stdout);
  dup2(answers, 1);
  if (good < 0) {
    puts("DPDK does not start here");
    return 2;
  }
  size_t bytes;
  routes = slurp(argv[1], &bytes);
  route_count = bytes / sizeof *routes;
  static const char *const kinds[] = {"uniform", "in-table", "skewed"};
  uint32_t *keys[3], out[BATCH];
  for (int k = 0; k < 3; k++) keys[k] = slurp(argv[2 + k], &bytes);
  const size_t n = bytes / 4 / BATCH * BATCH;
  build();
  char line[256], what[32], word[32];
  while (fgets(line, sizeof line, stdin) != NULL) {
    word[0] = 0;
    sscanf(line, "%31s %31s", what, word);
    int k = 0;
    while (k < 2 && strcmp(kinds[k], word) != 0) k++;
    void (*f)(const uint32_t *, uint32_t *) = strcmp(what, "x4") == 0 ? x4 : strcmp(what, "single") == 0 ? single : bulk;
    if (strcmp(what, "ready") == 0) puts("ready");
    else if (strcmp(what, "bytes") == 0) {
      // the first level is part of it: 2^24 words; the second: groups of 256
      printf("%.4f\n", (4.0 * (1 << 24) + 4.0 * 256 * TBL8) / (1 << 20));
    } else if (strcmp(what, "digest") == 0) {
      uint32_t h = 0, other[BATCH], third[BATCH];
      int same = 1;
      for (size_t i = 0; i < n; i += BATCH) {
        bulk(keys[k] + i, out);
        x4(keys[k] + i, other);
        single(keys[k] + i, third);
        for (int j = 0; j < BATCH; j++) {
          const uint32_t v = out[j] & RTE_LPM_LOOKUP_SUCCESS ? out[j] & MASK : 0;
          same &= other[j] == v && third[j] == v;
          h = h * 31 + v;
        }
      }
      if (same) printf("%x\n", h);
      else puts("its calls differ");
    } else {
      const double from = seconds();
      for (size_t i = 0; i < n; i += BATCH) f(keys[k] + i, out);
      volatile uint32_t sink = out[0];
      (void)sink;
      printf("%.4f\n", (seconds() - from) * 1e9 / n);
    }
    fflush(stdout);
  }
  return 0;
}
