/* roofline.h - the limits of this machine, measured. SPDX-License-Identifier: MIT
 * cpus: the core of each thread, the caller's first; NULL: those allowed to the caller, in turn. Each call takes about `seconds`. */
#ifndef HCONV_BENCH_ROOFLINE_H
#define HCONV_BENCH_ROOFLINE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1e9 floating-point operations a second (a multiply-add is two); isa: sse41, avx2, avx512, neon, or NULL for the best here;
 * 0 where this CPU cannot. SSE4.1 multiplies and adds, it has no fused form. bytes: 0, and all factors stay in registers; else so many
 * bytes of them are read, again and again, as a direct kernel's tiles read their weights. */
double hconv_roofline_gflops(const char *isa, size_t bytes, int threads, double seconds, const int *cpus);

/* 1e9 bytes a second that each thread's `bytes` of memory are read at, again and again, all threads together; copy: half of
 * them read, half written. */
double hconv_roofline_gbytes(size_t bytes, int copy, int threads, double seconds, const int *cpus);

/* Bytes of a core's second cache; 1 MiB where the system does not say. */
size_t hconv_roofline_l2(void);

#ifdef __cplusplus
}
#endif
#endif
