/* conv2d.c - the family of one sum: dense, dilated, grouped, depthwise, pointwise, linear.
 * SPDX-License-Identifier: MIT
 * y[n,o,i,j] = act(b[o] + sum_{c,u,v} W[o,c,u,v] xpad[n, (o / (co/g)) (ci/g) + c, i sh + u dh, j sw + v dw] + residual)
 * Names, shapes: torch.nn.Conv2d, torch.nn.Linear, torch.nn.BatchNorm2d. linear is the same sum over 1 x 1 maps. */
#include "common.h"

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    hconv_status status;
    int linear = p->variant == HCONV_VARIANT_linear;
    if (linear) p->h = p->w = 1, p->layout = HCONV_NHWC;
    if (linear || p->variant == HCONV_VARIANT_pointwise) p->kh = p->kw = 1;
    if (p->variant == HCONV_VARIANT_depthwise) {
        p->groups = p->ci;
        if (!p->co) p->co = p->ci;
        if (p->ci && p->co % p->ci) {
            hconv_sentence(why, why_bytes, "co%d must be a multiple of ci%d: depthwise gives every input channel as many "
                           "outputs", (int)p->co, (int)p->ci);
            return HCONV_INVALID_ARGUMENT;
        }
    }
    status = hconv_complete_conv(p, why, why_bytes);
    if (status || linear) return status;
    p->variant = p->groups == p->ci && p->ci > 1            ? HCONV_VARIANT_depthwise
                 : p->groups > 1                            ? HCONV_VARIANT_grouped
                 : p->dilation_h > 1 || p->dilation_w > 1   ? HCONV_VARIANT_dilated
                 : p->kh == 1 && p->kw == 1 && !p->same && !p->pad_top && !p->pad_bottom && !p->pad_left && !p->pad_right
                     ? HCONV_VARIANT_pointwise
                     : HCONV_VARIANT_conv2d;
    return HCONV_OK;
}

static void add_map(hconv_tensor_list *list, int role, const char *name, const hconv_problem *p, int32_t c, int32_t h,
                    int32_t w) {
    int64_t extent[2];
    extent[0] = p->n, extent[1] = c;
    if (p->variant == HCONV_VARIANT_linear) hconv_tensor_add(list, role, name, "wc", 2, extent);
    else hconv_add_activation(list, role, name, p, c, h, w);
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    list->count = 0;
    add_map(list, HCONV_INPUT, "x", p, p->ci, p->h, p->w);
    if (p->flags & HCONV_RESIDUAL) add_map(list, HCONV_INPUT, "residual", p, p->co, hconv_oh(p), hconv_ow(p));
    if (p->variant == HCONV_VARIANT_linear) hconv_add_parameter(list, "weight", "", 2, p->co, p->ci, 0, 0);
    else hconv_add_parameter(list, "weight", "", 4, p->co, p->ci / p->groups, p->kh, p->kw);
    if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "bias", "", 1, p->co, 0, 0, 0);
    if (p->flags & HCONV_NORM) hconv_add_norm(list, "bn", p->co);
    hconv_add_slope(list, p);
    add_map(list, HCONV_OUTPUT, "y", p, p->co, hconv_oh(p), hconv_ow(p));
}

static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    list->count = 0;
    hconv_add_parameter(list, "weight", "oihw", 4, p->co, p->ci / p->groups, p->kh, p->kw);
    hconv_add_parameter(list, "bias", "o", 1, p->co, 0, 0, 0);
    hconv_add_slope(list, p);
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    int64_t per_output = (int64_t)(p->ci / p->groups) * p->kh * p->kw;
    const float *weight = *given++;
    const float *bias = p->flags & HCONV_NO_BIAS ? NULL : *given++;
    const float *const *norm = NULL;
    if (p->flags & HCONV_NORM) norm = given, given += 5;
    for (int64_t o = 0; o < p->co; ++o) {
        double scale = 1, shift = 0;
        if (norm) hconv_norm_scale(norm, o, &scale, &shift);
        for (int64_t i = o * per_output; i < (o + 1) * per_output; ++i) dense[0][i] = (float)(scale * (double)weight[i]);
        dense[1][o] = (float)(shift + scale * (bias ? (double)bias[o] : 0.0));
    }
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) hconv_fold_slope(p, *given, dense[2]);
}

static double multiply_adds(const hconv_problem *p) {
    return (double)p->n * p->co * hconv_oh(p) * hconv_ow(p) * (p->ci / p->groups) * p->kh * p->kw;
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    *height = p->dilation_h * (p->kh - 1) + 1;
    *width = p->dilation_w * (p->kw - 1) + 1;
}

static const hconv_alias aliases[] = {{"conv.conv.", ""}, {"0.conv.", ""}, {"conv.bn.", "bn."}, {"0.bn.", "bn."},
                                      {"conv.", ""},      {NULL, NULL}};

const hconv_family hconv_family_conv2d = {"conv2d",      complete, tensors, kernel_tensors, fold, multiply_adds,
                                          receptive_field, aliases,  NULL, NULL, NULL};
