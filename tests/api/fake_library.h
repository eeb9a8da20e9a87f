/* fake_library.h - kernels written by hand behind a table, so that the API's tests need no compiler: y = sum_c W[o,c] x[c] + b,
 * in parallel over rows, with scratch memory of a row's size both outside and inside the tasks.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_TESTS_FAKE_LIBRARY_H
#define HCONV_TESTS_FAKE_LIBRARY_H

#include "hconv/library.h"

#ifdef __cplusplus
extern "C" {
#endif

/* pointwise_ci3_h4_w5_co2 at three levels (all CPUs, none, all) and with open h and w; linear_ci4_co3. */
extern const hconv_library fake_library;
/* A second program's library: the same fixed problem at the lowest level, nchw, and the kernels that go wrong. */
extern const hconv_library other_library;
/* Made for another ABI. */
extern const hconv_library old_library;

#define FAKE_FIXED "pointwise_ci3_h4_w5_co2"
#define FAKE_FAILS "pointwise_ci3_h4_w5_co2_relu"  /* a task returns an error */
#define FAKE_BROKEN "pointwise_ci3_h4_w5_co2_tanh" /* the call returns an error */
#define FAKE_HUNGRY "pointwise_ci3_h4_w5_co2_silu" /* takes more memory than its row says */
#define FAKE_CUDA "pointwise_ci3_h4_w5_co2_gelu"   /* only a CUDA row */
#define FAKE_MISFIT "pointwise_ci3_h4_w5_co2_relu6" /* an argument that the problem does not have */

#ifdef __cplusplus
}
#endif
#endif
