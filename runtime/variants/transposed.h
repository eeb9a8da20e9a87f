/* transposed.h - sizes of a transposed convolution; shared by its descriptor, its generator and its schedules.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_TRANSPOSED_H
#define HCONV_VARIANTS_TRANSPOSED_H

#include "../variant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output rows and columns; 0 where the input's are open. */
int32_t hconv_transposed_oh(const hconv_problem *p);
int32_t hconv_transposed_ow(const hconv_problem *p);

#ifdef __cplusplus
}
#endif
#endif
