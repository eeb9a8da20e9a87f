/* spd.h - the numbers of an spd problem that its descriptor and its generator share: the order, the block, and the
 * convolution inside.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_SPD_H
#define HCONV_VARIANTS_SPD_H

#include "../variant.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HCONV_BLOCK = 0, HCONV_ORDER = 1 };                          /* extra[] */
enum { HCONV_SPD_CONV = 0, HCONV_CONV_SPD = 1, HCONV_SPD_ONLY = 2 }; /* extra[HCONV_ORDER] */

/* The convolution as it would stand alone: before SPD the problem's own, behind it one of ci b^2 channels on maps of
 * h/b x w/b. Open sizes stay open. */
hconv_problem hconv_spd_inner(const hconv_problem *p);
/* Channels and sizes of y; 0 = open. */
void hconv_spd_output(const hconv_problem *p, int32_t *c, int32_t *h, int32_t *w);

#ifdef __cplusplus
}
#endif
#endif
