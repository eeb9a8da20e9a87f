/* fill.h - data for trials: a float is a function of (problem, tensor name, kind, seed, index), so the run program on a
 * board and the checker on the build machine make the same data without sending any.
 * SPDX-License-Identifier: MIT
 * Every value is an integer times a power of two: the same bits from every compiler. */
#ifndef HCONV_FILL_H
#define HCONV_FILL_H

#include "variant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hconv_fill_kind {
    HCONV_FILL_EXACT = 0, /* small integers, thinned so that float32 holds every partial sum exactly */
    HCONV_FILL_RANDOM = 1 /* bell-shaped, with an offset a channel; norms positive; outputs mostly positive */
} hconv_fill_kind;

/* NULL where the exact data makes every sum before the activation exact, else the reason why not. */
const char *hconv_fill_inexact(const hconv_problem *p);
/* Is y = activation(s) exact in float32 for the slopes that the exact data has? */
int hconv_fill_exact_activation(int32_t activation);
/* Is this optional tensor left out? Random data leaves optional tensors out for odd seeds. */
int hconv_fill_absent(const hconv_tensor *t, hconv_fill_kind kind, uint64_t seed);
/* Elements of t, and bytes. */
size_t hconv_tensor_elements(const hconv_tensor *t);
/* p: complete, every size known. t: an input or parameter of the problem's standard tensors. Dense, in p's layout. */
void hconv_fill(const hconv_problem *p, const hconv_tensor *t, hconv_fill_kind kind, uint64_t seed, float *to);

#ifdef __cplusplus
}
#endif
#endif
