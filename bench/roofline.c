/* roofline.c - what this machine can do at most: multiply-adds a second for an instruction set, those of a tile whose factors are
 * loaded, and bytes a second from a cache or from memory, on one or more cores at once.
 * SPDX-License-Identifier: MIT
 * C99 with the compiler's intrinsics; each instruction set in functions of its own, so no flags are needed. Threads are pinned
 * where the system lets us, start together, and each counts its own work and time: the sum of their rates is what is returned. */
#define _GNU_SOURCE
#include "roofline.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { MOST_THREADS = 256, STEPS = 2000, SUMS = 12 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef double block(float *memory, size_t bytes); /* returns how many floating-point operations that were */

/* A block of STEPS x SUMS independent vector multiply-adds. The sums stay finite, and are stored so that the loop stays. */
#define BLOCK(name, attribute, vector, lanes, set, step, store)          \
    attribute static double name(float *sink, size_t bytes) {            \
        vector s[SUMS];                                                  \
        const vector x = set(0.5f), y = set(1.0f);                       \
        int i, j;                                                        \
        (void)x, (void)bytes;                                            \
        for (j = 0; j < SUMS; ++j) s[j] = set((float)j);                 \
        for (i = 0; i < STEPS; ++i) {                                    \
            step(0) step(1) step(2) step(3) step(4) step(5)              \
            step(6) step(7) step(8) step(9) step(10) step(11)            \
        }                                                                \
        for (j = 0; j < SUMS; ++j) store(sink + j * (lanes), s[j]);      \
        return 2.0 * (lanes)*SUMS * STEPS;                               \
    }

/* The inner loop of a direct 3 x 3 kernel: sums of a tile of four vectors x `width` pixels by three taps in turn, which share pixels.
 * Weights come as a stream of `bytes`, the pixels' numbers lie near. Loops are unrolled, or the sums would not stay in registers. */
enum { TAPS = 3, NUMBERS = 16, STREAM = NUMBERS + 20 * 16 };
#define UNROLLED _Pragma("GCC unroll 8") for
#define TILE(name, attribute, vector, lanes, width, set, load, madd, store)                                  \
    attribute static double name(float *memory, size_t bytes) {                                              \
        vector s[4][width], x[TAPS - 1 + (width)], w;                                                        \
        const size_t steps = bytes / sizeof w / 4 / TAPS;                                                    \
        const float *at = memory + STREAM;                                                                   \
        size_t i;                                                                                            \
        int t, v, j;                                                                                         \
        UNROLLED(v = 0; v < 4; ++v) UNROLLED(j = 0; j < (width); ++j) s[v][j] = set(0.0f);                   \
        for (i = 0; i < steps; ++i, at += TAPS * 4 * (lanes)) {                                              \
            UNROLLED(j = 0; j < (width)-1; ++j) x[j] = set(memory[j]);                                       \
            UNROLLED(t = 0; t < TAPS; ++t) {                                                                 \
                x[t + (width)-1] = set(memory[t + (width)-1]);                                               \
                UNROLLED(v = 0; v < 4; ++v) {                                                                \
                    w = load(at + (t * 4 + v) * (lanes));                                                    \
                    UNROLLED(j = 0; j < (width); ++j) s[v][j] = madd(w, x[t + j], s[v][j]);                  \
                }                                                                                            \
            }                                                                                                \
            __asm__ volatile("" ::: "memory"); /* the numbers are loaded again */                            \
        }                                                                                                    \
        UNROLLED(v = 0; v < 4; ++v)                                                                          \
            UNROLLED(j = 0; j < (width); ++j) store(memory + NUMBERS + (v * (width) + j) * (lanes), s[v][j]); \
        return 2.0 * TAPS * 4 * (width) * (lanes) * (double)steps;                                           \
    }

#if defined(__x86_64__)
#define STEP128(j) s[j] = _mm_add_ps(_mm_mul_ps(s[j], x), y);
#define STEP256(j) s[j] = _mm256_fmadd_ps(s[j], x, y);
#define STEP512(j) s[j] = _mm512_fmadd_ps(s[j], x, y);
#define MADD128(a, b, s) _mm_add_ps(_mm_mul_ps(a, b), s)
#define AVX2 __attribute__((noinline, target("avx2,fma")))
#define AVX512 __attribute__((noinline, target("avx512f")))
BLOCK(block_sse41, __attribute__((noinline)), __m128, 4, _mm_set1_ps, STEP128, _mm_storeu_ps)
BLOCK(block_avx2, AVX2, __m256, 8, _mm256_set1_ps, STEP256, _mm256_storeu_ps)
BLOCK(block_avx512, AVX512, __m512, 16, _mm512_set1_ps, STEP512, _mm512_storeu_ps)
TILE(tile_sse41, __attribute__((noinline)), __m128, 4, 2, _mm_set1_ps, _mm_loadu_ps, MADD128, _mm_storeu_ps)
TILE(tile_avx2, AVX2, __m256, 8, 3, _mm256_set1_ps, _mm256_loadu_ps, _mm256_fmadd_ps, _mm256_storeu_ps)
TILE(tile_avx512, AVX512, __m512, 16, 5, _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_storeu_ps)
#elif defined(__aarch64__)
#define STEP128(j) s[j] = vfmaq_f32(y, s[j], x);
#define MADD128(a, b, s) vfmaq_f32(s, a, b)
BLOCK(block_neon, __attribute__((noinline)), float32x4_t, 4, vdupq_n_f32, STEP128, vst1q_f32)
TILE(tile_neon, __attribute__((noinline)), float32x4_t, 4, 5, vdupq_n_f32, vld1q_f32, MADD128, vst1q_f32)
#endif

static block *block_of(const char *isa, int tile) {
#if defined(__x86_64__)
    const int any = !isa || !strcmp(isa, "best");
    __builtin_cpu_init();
    if ((any || !strcmp(isa, "avx512")) && __builtin_cpu_supports("avx512f")) return tile ? tile_avx512 : block_avx512;
    if ((any || !strcmp(isa, "avx2")) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return tile ? tile_avx2 : block_avx2;
    if (any || !strcmp(isa, "sse41")) return tile ? tile_sse41 : block_sse41;
#elif defined(__aarch64__)
    if (!isa || !strcmp(isa, "best") || !strcmp(isa, "neon")) return tile ? tile_neon : block_neon;
#endif
    (void)isa, (void)tile;
    return NULL;
}

/* Sums of eight bytes each: the compiler makes vectors of them at -O2 with this attribute, and the loads are the limit. */
#if defined(__x86_64__)
#define LOADS __attribute__((noinline, target("avx2")))
LOADS static uint64_t read_all(const char *at, size_t bytes) {
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    uint64_t out[4];
    size_t i;
    for (i = 0; i + 128 <= bytes; i += 128) {
        a = _mm256_xor_si256(a, _mm256_load_si256((const __m256i *)(const void *)(at + i)));
        b = _mm256_xor_si256(b, _mm256_load_si256((const __m256i *)(const void *)(at + i + 32)));
        c = _mm256_xor_si256(c, _mm256_load_si256((const __m256i *)(const void *)(at + i + 64)));
        d = _mm256_xor_si256(d, _mm256_load_si256((const __m256i *)(const void *)(at + i + 96)));
    }
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d)));
    return out[0] ^ out[1] ^ out[2] ^ out[3];
}
static int can_read(void) { return __builtin_cpu_supports("avx2") != 0; }
#else
static uint64_t read_all(const char *at, size_t bytes) {
    uint64_t a = 0, b = 0, c = 0, d = 0, v[4];
    size_t i;
    for (i = 0; i + 32 <= bytes; i += 32) {
        memcpy(v, at + i, 32);
        a ^= v[0], b ^= v[1], c ^= v[2], d ^= v[3];
    }
    return a ^ b ^ c ^ d;
}
static int can_read(void) { return 1; }
#endif

typedef struct team {
    block *multiply; /* of `bytes`; or NULL: they are read */
    size_t bytes;
    int copy, threads;
    double seconds;
    const int *cpus;
#if defined(__linux__)
    cpu_set_t allowed; /* to the caller */
#endif
    volatile int ready, ended; /* by __atomic */
} team;

typedef struct member {
    team *team;
    int number;
    char *memory; /* at a multiple of 64 */
    double rate;
} member;

/* Each member on a core of its own: the one that was named for it, or its turn of those allowed. */
static void pin(const team *t, int number) {
#if defined(__linux__)
    cpu_set_t set;
    int core = -1;
    if (!t->cpus && CPU_COUNT(&t->allowed) < t->threads) return;
    for (int i = 0; !t->cpus && i <= number; ++i)
        do ++core;
        while (!CPU_ISSET((size_t)core, &t->allowed));
    CPU_ZERO(&set);
    CPU_SET((size_t)(t->cpus ? t->cpus[number] : core), &set);
    sched_setaffinity(0, sizeof set, &set);
#else
    (void)t, (void)number;
#endif
}

static double once(const member *m) {
    const team *t = m->team;
    if (t->multiply) return t->multiply((float *)(void *)m->memory, t->bytes);
    if (t->copy) {
        memcpy(m->memory + t->bytes / 2, m->memory, t->bytes / 2);
        return (double)t->bytes;
    }
    *(volatile uint64_t *)(void *)m->memory = read_all(m->memory, t->bytes);
    return (double)t->bytes;
}

/* Until every member has had its seconds: the last one is not measured alone. */
static void *work(void *argument) {
    member *m = argument;
    team *t = m->team;
    double start, spent, done = 0;
    pin(t, m->number);
    once(m);
    __atomic_add_fetch(&t->ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&t->ready, __ATOMIC_SEQ_CST) < t->threads) sched_yield();
    start = now();
    do {
        done += once(m);
        spent = now() - start;
    } while (spent < t->seconds);
    m->rate = done / spent / 1e9;
    __atomic_add_fetch(&t->ended, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&t->ended, __ATOMIC_SEQ_CST) < t->threads) once(m);
    return NULL;
}

static double run_team(team *t) {
    static char *memory; /* kept: its pages are there the next time */
    static size_t held;
    member members[MOST_THREADS];
    pthread_t handles[MOST_THREADS];
    int i, made = 1;
    size_t at;
    double rate = 0;
    const size_t each = (t->bytes + STREAM * sizeof(float) + 127) / 64 * 64;
    if (t->threads < 1 || t->threads > MOST_THREADS) return 0;
#if defined(__linux__)
    if (sched_getaffinity(0, sizeof t->allowed, &t->allowed)) return 0;
#endif
    if (each * (size_t)t->threads + 64 > held) {
        free(memory);
        held = each * (size_t)t->threads + 64;
        memory = malloc(held);
        if (!memory) return held = 0, 0.0;
        for (at = 0; at < held / sizeof(float); ++at) ((float *)(void *)memory)[at] = 1; /* untouched memory is one page of zeros, many times */
    }
    for (i = 0; i < t->threads; ++i) {
        members[i].team = t, members[i].number = i, members[i].rate = 0;
        members[i].memory = memory + (64 - (uintptr_t)memory % 64) % 64 + each * (size_t)i;
    }
    for (i = 1; i < t->threads && !pthread_create(&handles[i], NULL, work, &members[i]); ++i) ++made;
    t->threads = made;
    work(&members[0]);
    for (i = 1; i < made; ++i) pthread_join(handles[i], NULL);
#if defined(__linux__)
    sched_setaffinity(0, sizeof t->allowed, &t->allowed);
#endif
    for (i = 0; i < made; ++i) rate += members[i].rate;
    return rate;
}

double hconv_roofline_gflops(const char *isa, size_t bytes, int threads, double seconds, const int *cpus) {
    team t;
    memset(&t, 0, sizeof t);
    t.multiply = block_of(isa, bytes > 0), t.bytes = bytes, t.threads = threads, t.seconds = seconds, t.cpus = cpus;
    return t.multiply ? run_team(&t) : 0;
}

double hconv_roofline_gbytes(size_t bytes, int copy, int threads, double seconds, const int *cpus) {
    team t;
    memset(&t, 0, sizeof t);
    t.bytes = bytes / 256 * 256, t.copy = copy, t.threads = threads, t.seconds = seconds, t.cpus = cpus;
    return t.bytes && (copy || can_read()) ? run_team(&t) : 0;
}

size_t hconv_roofline_l2(void) {
#ifdef _SC_LEVEL2_CACHE_SIZE
    const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (size > 0) return (size_t)size;
#endif
    return (size_t)1 << 20;
}
