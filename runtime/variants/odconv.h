/* odconv.h - which attentions an odconv problem has; shared by its descriptor and its generator.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_ODCONV_H
#define HCONV_VARIANTS_ODCONV_H

#include "../variant.h"
#include "experts.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hconv_odconv {
    int32_t experts, hidden;
    int filter, spatial, kernel; /* the attentions that are not skipped; the channel attention never is */
} hconv_odconv;

hconv_odconv hconv_odconv_of(const hconv_problem *p);

#ifdef __cplusplus
}
#endif
#endif
