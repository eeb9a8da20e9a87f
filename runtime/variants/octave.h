/* octave.h - the numbers of an octave problem that its descriptor and its generator share: which paths exist, their
 * channels, groups and map sizes.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_OCTAVE_H
#define HCONV_VARIANTS_OCTAVE_H

#include "../variant.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HCONV_CIL = 0, HCONV_COL = 1, HCONV_DIALECT = 2 };                            /* extra[] */
enum { HCONV_OCTAVE_ARTICLE = 0, HCONV_OCTAVE_FB = 1, HCONV_OCTAVE_DLI = 2 };        /* extra[HCONV_DIALECT] */
enum { HCONV_HH = 0, HCONV_HL = 1, HCONV_LH = 2, HCONV_LL = 3 };                     /* from, to */

typedef struct hconv_octave_path {
    int exists, bias;           /* bias: has a tensor of its own (fb, dli) */
    int32_t ci, co, groups;
    int32_t oh, ow;             /* of the convolution, before any upsampling; 0 = open */
} hconv_octave_path;

typedef struct hconv_octave {
    int dialect;
    int32_t ci_h, ci_l, co_h, co_l;
    int32_t hl, wl;             /* size of x_l; 0 = open */
    int32_t oh, ow, ohl, owl;   /* sizes of y_h and y_l; 0 = open */
    int upsample;               /* lh is upsampled (not under fb and dli at stride 2) */
    hconv_octave_path path[4];
} hconv_octave;

extern const char *const hconv_octave_names[4]; /* "h2h", "h2l", "l2h", "l2l" */
hconv_octave hconv_octave_of(const hconv_problem *p);
/* Size of a map pooled 2 to 1: ceil under fb, else floor, at least 1; 0 = open stays open. */
int32_t hconv_octave_pooled(int dialect, int32_t size);

#ifdef __cplusplus
}
#endif
#endif
