/* wtconv.h - the numbers of a wtconv or wtconv1d problem that descriptor, generator, filling and reference share: sizes of
 * the levels, taps of the wavelet.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_WTCONV_H
#define HCONV_VARIANTS_WTCONV_H

#include "../variant.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HCONV_LEVELS = 0, HCONV_WAVELET = 1 }; /* extra[]; a wavelet is its number in wavelets.h, 0 = db1 */
enum { HCONV_ANALYSIS = 0, HCONV_SYNTHESIS = 1 };

typedef struct hconv_wavelet {
    const char *name;
    int32_t length; /* taps of each filter, even */
    const double *analysis_low, *synthesis_low;
} hconv_wavelet;

typedef struct hconv_wtconv {
    int lines;                  /* 1-D: two sub-bands instead of four */
    int32_t levels, bands;
    const hconv_wavelet *wavelet;
    int32_t before;             /* length / 2 - 1: zeros before the first sample of every level */
    int32_t oh, ow;             /* 0 = open */
} hconv_wtconv;

hconv_wtconv hconv_wtconv_of(const hconv_problem *p);
/* Rows or columns of the sub-bands after so many levels: ceil(size / 2^level); 0 = open stays open. */
int32_t hconv_wtconv_size(int32_t size, int level);
/* Tap t of the filter that goes forward over memory (correlation): which = HCONV_ANALYSIS or HCONV_SYNTHESIS, band 0 = low
 * pass, 1 = high pass. */
double hconv_wavelet_tap(const hconv_wavelet *w, int which, int band, int t);
/* Element of wt_filter (which = HCONV_ANALYSIS) or iwt_filter at place i of memory. */
double hconv_wtconv_filter(const hconv_problem *p, int which, int64_t i);

#ifdef __cplusplus
}
#endif
#endif
