/* experts.h - where the variants that mix kernels a sample (odconv, condconv, dynamicconv) keep their own keys.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_EXPERTS_H
#define HCONV_VARIANTS_EXPERTS_H

enum { HCONV_EX = 0, HCONV_HID = 1 }; /* extra[]: kernels that are mixed; hidden units of the attention */

#endif
