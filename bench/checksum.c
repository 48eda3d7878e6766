// bench/checksum.c: the Internet checksum (RFC 1071) in C: two bytes at a time, with AVX2, with AVX-512.
// Lines in, lines out: `digest KIND` -> hex, `run KIND ROUNDS` -> GB/s.

#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LENGTH = 1460, PACKETS = 16, STRIDE = 1474 };

static uint8_t bytes[PACKETS * STRIDE + 64] __attribute__((aligned(64)));

typedef uint32_t (*checksum_fn)(const uint8_t *p, uint32_t n);

static uint32_t finish(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return __builtin_bswap16((uint16_t)~sum);
}

static uint64_t tail(const uint8_t *p, uint32_t n, uint64_t sum) {
  while (n >= 4) {
    uint32_t w;
    memcpy(&w, p, 4);
    sum += w;
    p += 4;
    n -= 4;
  }
  if (n >= 2) {
    uint16_t w;
    memcpy(&w, p, 2);
    sum += w;
    p += 2;
    n -= 2;
  }
  return n != 0 ? sum + *p : sum;
}

// what a loop over words does when the compiler is told not to make vectors of it
__attribute__((noinline, optimize("no-tree-vectorize"))) static uint32_t scalar(const uint8_t *p, uint32_t n) {
  return finish(tail(p, n, 0));
}

__attribute__((noinline, target("avx2"))) static uint32_t avx2(const uint8_t *p, uint32_t n) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (; n >= 64; p += 64, n -= 64) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)p);
    const __m256i w = _mm256_loadu_si256((const __m256i *)(p + 32));
    a = _mm256_add_epi64(a, _mm256_and_si256(v, low));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(v, 32));
    c = _mm256_add_epi64(c, _mm256_and_si256(w, low));
    d = _mm256_add_epi64(d, _mm256_srli_epi64(w, 32));
  }
  uint64_t lanes[4];
  _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d)));
  return finish(tail(p, n, lanes[0] + lanes[1] + lanes[2] + lanes[3]));
}

__attribute__((noinline, target("avx512f"))) static uint32_t avx512(const uint8_t *p, uint32_t n) {
  const __m512i low = _mm512_set1_epi64(0xffffffff);
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (; n >= 128; p += 128, n -= 128) {
    const __m512i v = _mm512_loadu_si512(p);
    const __m512i w = _mm512_loadu_si512(p + 64);
    a = _mm512_add_epi64(a, _mm512_and_si512(v, low));
    b = _mm512_add_epi64(b, _mm512_srli_epi64(v, 32));
    c = _mm512_add_epi64(c, _mm512_and_si512(w, low));
    d = _mm512_add_epi64(d, _mm512_srli_epi64(w, 32));
  }
  const uint64_t sum = _mm512_reduce_add_epi64(_mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d)));
  return finish(tail(p, n, sum));
}

static checksum_fn find(const char *kind) {
  if (strcmp(kind, "scalar") == 0) return scalar;
  if (strcmp(kind, "avx2") == 0) return __builtin_cpu_supports("avx2") ? avx2 : NULL;
  if (strcmp(kind, "avx512") == 0) return __builtin_cpu_supports("avx512f") ? avx512 : NULL;
  return NULL;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void) {
  uint32_t state = 1;
  for (int i = 0; i < PACKETS * STRIDE; i++) {
    state = state * 1664525 + 1013904223;
    bytes[i] = state >> 24;
  }
  char line[256], what[32], kind[32];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int rounds = 0;
    if (sscanf(line, "%31s %31s %d", what, kind, &rounds) < 2) continue;
    volatile checksum_fn known = find(kind);
    const checksum_fn f = known;
    if (f == NULL) printf("%s: this processor has none\n", kind);
    else if (strcmp(what, "digest") == 0) {
      uint32_t h = 0;
      for (int k = 0; k < PACKETS; k++) h = h * 31 + f(bytes + k * STRIDE, LENGTH);
      printf("%x\n", h);
    } else {
      volatile uint32_t sink = 0;
      const double from = seconds();
      for (int i = 0; i < rounds; i++)
        for (int k = 0; k < PACKETS; k++) sink += f(bytes + k * STRIDE, LENGTH);
      printf("%.6f\n", (double)rounds * PACKETS * LENGTH / (seconds() - from) / 1e9);
    }
    fflush(stdout);
  }
  return 0;
}
