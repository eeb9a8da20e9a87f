/* common.h - what several descriptors say alike: output sizes, pads of same, the norm and activation tensors, their folding.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_COMMON_H
#define HCONV_VARIANTS_COMMON_H

#include "../variant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* floor((in + before + after - dilation (window - 1) - 1) / stride) + 1; 0 if in is open or nothing fits. */
int32_t hconv_out_size(int32_t in, int32_t window, int32_t stride, int32_t dilation, int32_t before, int32_t after);
int32_t hconv_oh(const hconv_problem *p);
int32_t hconv_ow(const hconv_problem *p);

/* Does fast allow kernels of a convolution to filter minimally (windows of 3 x 3 at stride 1, eight or more channels a group;
 * transposed, dense ones of 4 x 4 at stride 2), whose rounding is not the direct sum's? */
int hconv_minimal_filtering(const hconv_problem *p);

/* Defaults and checks of channels, groups and window, whatever is done with them. */
hconv_status hconv_complete_window(hconv_problem *p, char *why, size_t why_bytes);
/* Defaults and checks of the conv keys; same and tfsame become pads where the sizes allow. */
hconv_status hconv_complete_conv(hconv_problem *p, char *why, size_t why_bytes);
/* 'what' is positive, or the sentence "<variant> needs <key>". */
hconv_status hconv_need(const hconv_problem *p, int32_t value, const char *key, char *why, size_t why_bytes);

void hconv_add_activation(hconv_tensor_list *list, int role, const char *name, const hconv_problem *p, int32_t c, int32_t h,
                          int32_t w);
hconv_tensor *hconv_add_parameter(hconv_tensor_list *list, const char *name, const char *letters, int rank, int64_t a,
                                  int64_t b, int64_t c, int64_t d);
/* bn.weight, bn.bias, bn.running_mean, bn.running_var [channels], bn.eps [1] optional, each behind prefix. */
void hconv_add_norm(hconv_tensor_list *list, const char *prefix, int64_t channels);
/* slope, where the activation has one: standard = kernel tensor. */
void hconv_add_slope(hconv_tensor_list *list, const hconv_problem *p);
/* scale[c] and shift[c] of the five tensors that hconv_add_norm added: y = scale x + shift. */
void hconv_norm_scale(const float *const *norm, int64_t c, double *scale, double *shift);
/* The slope's folding: copies, or writes the default. */
void hconv_fold_slope(const hconv_problem *p, const float *given, float *dense);

#define HCONV_LEAKY_SLOPE 0.01
#define HCONV_NORM_EPS 1e-5

#ifdef __cplusplus
}
#endif
#endif
