/* condconv.h - where the routing of a condconv or dynamicconv problem comes from; shared by its descriptor and its
 * generator.
 * SPDX-License-Identifier: MIT */
#ifndef HCONV_VARIANTS_CONDCONV_H
#define HCONV_VARIANTS_CONDCONV_H

#include "../variant.h"
#include "experts.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HCONV_ROUTED = 2 }; /* extra[]: 1 = routing is an input */

typedef enum hconv_routing {
    HCONV_ROUTING_INPUT,   /* the input routing */
    HCONV_ROUTING_SIGMOID, /* sigmoid of one layer of the pooled input */
    HCONV_ROUTING_SOFTMAX, /* softmax of two */
    HCONV_ROUTING_ONE      /* softmax over one expert */
} hconv_routing;

hconv_routing hconv_routing_of(const hconv_problem *p);

#ifdef __cplusplus
}
#endif
#endif
