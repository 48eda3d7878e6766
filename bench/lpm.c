// bench/lpm.c: the structure of assembly/dir24.ts in C: 2^19 chunks of a bitmap and an index, leaves behind them.
// lpm ROUTES KEYS KEYS KEYS (binary words of this machine). Lines in, lines out: `ready`, `digest KIND`,
// `batch KIND` and `single KIND` -> ns a lookup; KIND is uniform, in-table or skewed.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 256, CHUNKS = 1 << 19, SUB_FLAG = 1u << 31 };

struct chunk {
  uint32_t bits, base;
};
struct route {
  uint32_t prefix, len, value;
};

static struct chunk *chunks, *subs;
static uint32_t *leaves, leaf_count, sub_count;

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

// a chunk of 32 equal or different slots: bit s says that slot s differs from the one before
static struct chunk compress(const uint32_t *slot) {
  struct chunk c = {0, leaf_count};
  for (int s = 0; s < 32; s++) {
    if (s > 0 && slot[s] == slot[s - 1]) continue;
    if (s > 0) c.bits |= 1u << s;
    leaves[leaf_count++] = slot[s];
  }
  return c;
}

static int by_length(const void *a, const void *b) {
  const struct route *p = a, *q = b;
  if (p->len != q->len) return p->len < q->len ? -1 : 1;
  return p->prefix < q->prefix ? -1 : p->prefix > q->prefix;
}

static void build(struct route *routes, size_t n) {
  qsort(routes, n, sizeof *routes, by_length);
  uint32_t *flat = calloc(1 << 24, 4);
  size_t i = 0;
  for (; i < n && routes[i].len <= 24; i++) {
    const uint32_t first = routes[i].prefix >> 8, count = 1u << (24 - routes[i].len);
    for (uint32_t k = 0; k < count; k++) flat[first + k] = routes[i].value;
  }
  // longer ones: 256 addresses each, painted first and compressed after
  const size_t deep = n - i;
  uint32_t *deeps = calloc(deep == 0 ? 1 : deep * 256, 4), deep_count = 0;
  for (; i < n; i++) {
    uint32_t *slot = &flat[routes[i].prefix >> 8];
    if ((*slot & SUB_FLAG) == 0) {
      for (int k = 0; k < 256; k++) deeps[deep_count * 256 + k] = *slot;
      *slot = SUB_FLAG | deep_count++;
    }
    uint32_t *at = deeps + (*slot & ~SUB_FLAG) * 256ul + (routes[i].prefix & 255);
    for (uint32_t k = 0; k < 1u << (32 - routes[i].len); k++) at[k] = routes[i].value;
  }
  chunks = aligned_alloc(64, CHUNKS * sizeof *chunks);
  subs = aligned_alloc(64, (deep_count + 1) * 8 * sizeof *subs);
  leaves = malloc(4ul * ((1 << 24) + deep_count * 256ul));
  for (uint32_t d = 0; d < deep_count; d++)
    for (int k = 0; k < 8; k++) subs[sub_count++] = compress(deeps + d * 256ul + k * 32);
  for (uint32_t c = 0; c < CHUNKS; c++) {
    uint32_t *slot = flat + c * 32ul;
    // a leaf that goes deeper: the first of its eight chunks
    for (int s = 0; s < 32; s++)
      if (slot[s] & SUB_FLAG) slot[s] = SUB_FLAG | ((slot[s] & ~SUB_FLAG) * 8);
    chunks[c] = compress(slot);
  }
  leaves = realloc(leaves, 4ul * leaf_count);
  free(flat);
  free(deeps);
}

static inline uint32_t leaf_of(struct chunk c, uint32_t slot) {
  return leaves[c.base + __builtin_popcount(c.bits << (~slot & 31))];
}

static inline uint32_t deeper(uint32_t leaf, uint32_t key) {
  return leaf_of(subs[(leaf & ~SUB_FLAG) + (key >> 5 & 7)], key);
}

__attribute__((noinline)) static void lookup_batch(const uint32_t *keys, uint32_t *out, uint32_t n) {
  for (uint32_t i = 0; i < n; i += 8) {
    uint32_t any = 0;
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
      const uint32_t key = keys[i + k];
      any |= out[i + k] = leaf_of(chunks[key >> 13], key >> 8);
    }
    if (__builtin_expect(any & SUB_FLAG, 0))
      for (int k = 0; k < 8; k++)
        if (out[i + k] & SUB_FLAG) out[i + k] = deeper(out[i + k], keys[i + k]);
  }
}

__attribute__((noinline)) static uint32_t lookup(uint32_t key) {
  const uint32_t leaf = leaf_of(chunks[key >> 13], key >> 8);
  return leaf & SUB_FLAG ? deeper(leaf, key) : leaf;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  size_t bytes;
  struct route *routes = slurp(argv[1], &bytes);
  build(routes, bytes / sizeof *routes);
  static const char *const kinds[] = {"uniform", "in-table", "skewed"};
  uint32_t *keys[3], out[BATCH];
  for (int k = 0; k < 3; k++) keys[k] = slurp(argv[2 + k], &bytes);
  const size_t n = bytes / 4 / BATCH * BATCH;
  char line[256], what[32], kind[32];
  while (fgets(line, sizeof line, stdin) != NULL) {
    kind[0] = 0;
    sscanf(line, "%31s %31s", what, kind);
    int k = 0;
    while (k < 2 && strcmp(kinds[k], kind) != 0) k++;
    uint32_t h = 0;
    const double from = seconds();
    if (strcmp(what, "ready") == 0) puts("ready");
    else if (strcmp(what, "single") == 0) {
      uint32_t (*volatile call)(uint32_t) = lookup;
      for (size_t i = 0; i < n; i++) h += call(keys[k][i]);
      volatile uint32_t sink = h;
      (void)sink;
      printf("%.4f\n", (seconds() - from) * 1e9 / n);
    } else {
      const int digest = strcmp(what, "digest") == 0;
      for (size_t i = 0; i < n; i += BATCH) {
        lookup_batch(keys[k] + i, out, BATCH);
        for (int j = 0; digest && j < BATCH; j++) h = h * 31 + out[j];
      }
      if (digest) printf("%x\n", h);
      else printf("%.4f\n", (seconds() - from) * 1e9 / n);
    }
    fflush(stdout);
  }
  return 0;
}
