/* depthwise_separable.h - the own keys and words of depthwise-separable convolution; shared by its descriptor, its
 * generator and the data of trials.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_DEPTHWISE_SEPARABLE_H
#define HCONV_VARIANTS_DEPTHWISE_SEPARABLE_H

#include "../variant.h"

enum { HCONV_MULTIPLIER = 0, HCONV_DW_NO_BIAS = 1, HCONV_MID_NORM = 2 }; /* extra[] */

#endif
