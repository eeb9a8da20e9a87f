/* transposed.c - transposed convolution (torch.nn.ConvTranspose2d): every input pixel adds its window, scaled.
 * SPDX-License-Identifier: MIT
 * s[n,o,i sh + u dh - pt, j sw + v dw - pl] += x[n,c,i,j] W[c,o,u,v] for the channels c of o's group,
 * y = act(bn(s + b[o]) + residual),  oh = (h - 1) sh - pt - pb + dh (kh - 1) + oph + 1.
 * The kernel's weight is [co, ci/g, kh, kw], as a convolution's. */
#include "transposed.h"

#include "common.h"

static int64_t out_size(int32_t in, int32_t window, int32_t stride, int32_t dilation, int64_t pads, int32_t out_pad) {
    return (int64_t)(in - 1) * stride - pads + (int64_t)dilation * (window - 1) + out_pad + 1;
}

int32_t hconv_transposed_oh(const hconv_problem *p) {
    int64_t pads = (int64_t)p->pad_top + p->pad_bottom;
    return p->h ? (int32_t)out_size(p->h, p->kh, p->stride_h, p->dilation_h, pads, p->out_pad_h) : 0;
}

int32_t hconv_transposed_ow(const hconv_problem *p) {
    int64_t pads = (int64_t)p->pad_left + p->pad_right;
    return p->w ? (int32_t)out_size(p->w, p->kw, p->stride_w, p->dilation_w, pads, p->out_pad_w) : 0;
}

static hconv_status check_output(const char *axis, int32_t in, int32_t window, int32_t stride, int32_t dilation,
                                 int64_t pads, int32_t out_pad, char *why, size_t why_bytes) {
    int64_t size;
    if (out_pad >= stride && out_pad >= dilation) {
        hconv_sentence(why, why_bytes, "op%s%d must be less than the stride s%s%d or the dilation d%s%d", axis,
                       (int)out_pad, axis, (int)stride, axis, (int)dilation);
        return HCONV_INVALID_ARGUMENT;
    }
    if (in == HCONV_OPEN) return HCONV_OK;
    size = out_size(in, window, stride, dilation, pads, out_pad);
    if (size < 1) {
        hconv_sentence(why, why_bytes, "the padding p%s cuts off all of the %lld rows that %s%d gives: no output", axis,
                       (long long)(size + pads), axis, (int)in);
        return HCONV_INVALID_ARGUMENT;
    }
    if (size > HCONV_SIZE_MOST) {
        hconv_sentence(why, why_bytes, "%s%d at stride s%s%d gives %lld rows, more than %d", axis, (int)in, axis,
                       (int)stride, (long long)size, HCONV_SIZE_MOST);
        return HCONV_INVALID_ARGUMENT;
    }
    return HCONV_OK;
}

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    hconv_status status = hconv_complete_window(p, why, why_bytes);
    if (!status)
        status = check_output("h", p->h, p->kh, p->stride_h, p->dilation_h, (int64_t)p->pad_top + p->pad_bottom,
                              p->out_pad_h, why, why_bytes);
    if (!status)
        status = check_output("w", p->w, p->kw, p->stride_w, p->dilation_w, (int64_t)p->pad_left + p->pad_right,
                              p->out_pad_w, why, why_bytes);
    return status;
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    int32_t oh = hconv_transposed_oh(p), ow = hconv_transposed_ow(p);
    list->count = 0;
    hconv_add_activation(list, HCONV_INPUT, "x", p, p->ci, p->h, p->w);
    if (p->flags & HCONV_RESIDUAL) hconv_add_activation(list, HCONV_INPUT, "residual", p, p->co, oh, ow);
    hconv_add_parameter(list, "weight", "", 4, p->ci, p->co / p->groups, p->kh, p->kw);
    if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "bias", "", 1, p->co, 0, 0, 0);
    if (p->flags & HCONV_NORM) hconv_add_norm(list, "bn", p->co);
    hconv_add_slope(list, p);
    hconv_add_activation(list, HCONV_OUTPUT, "y", p, p->co, oh, ow);
}

static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    list->count = 0;
    hconv_add_parameter(list, "weight", "oihw", 4, p->co, p->ci / p->groups, p->kh, p->kw);
    hconv_add_parameter(list, "bias", "o", 1, p->co, 0, 0, 0);
    hconv_add_slope(list, p);
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    int64_t inputs = p->ci / p->groups, outputs = p->co / p->groups, window = (int64_t)p->kh * p->kw;
    const float *weight = *given++;
    const float *bias = p->flags & HCONV_NO_BIAS ? NULL : *given++;
    const float *const *norm = NULL;
    if (p->flags & HCONV_NORM) norm = given, given += 5;
    for (int64_t o = 0; o < p->co; ++o) {
        double scale = 1, shift = 0;
        int64_t first = o / outputs * inputs;
        if (norm) hconv_norm_scale(norm, o, &scale, &shift);
        for (int64_t i = 0; i < inputs; ++i) {
            const float *from = weight + ((first + i) * outputs + o % outputs) * window;
            float *to = dense[0] + (o * inputs + i) * window;
            for (int64_t at = 0; at < window; ++at) to[at] = (float)(scale * (double)from[at]);
        }
        dense[1][o] = (float)(shift + scale * (bias ? (double)bias[o] : 0.0));
    }
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) hconv_fold_slope(p, *given, dense[2]);
}

/* Every input pixel meets every weight of its group once; what the padding cuts off is counted too. */
static double multiply_adds(const hconv_problem *p) {
    return (double)p->n * p->ci * p->h * p->w * (p->co / p->groups) * p->kh * p->kw;
}

/* Input rows between the first and the last that meet in one output: window rows that meet are stride / gcd apart, and
 * their input rows dilation / gcd. */
static int rows_met(int32_t window, int32_t stride, int32_t dilation) {
    int32_t a = stride, b = dilation;
    while (b) {
        int32_t rest = a % b;
        a = b, b = rest;
    }
    return (window - 1) / (stride / a) * (dilation / a) + 1;
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    *height = rows_met(p->kh, p->stride_h, p->dilation_h);
    *width = rows_met(p->kw, p->stride_w, p->dilation_w);
}

static const hconv_alias aliases[] = {{"conv.", ""}, {"0.", ""}, {"1.", "bn."}, {NULL, NULL}};

const hconv_family hconv_family_transposed = {"transposed",    complete, tensors, kernel_tensors, fold, multiply_adds,
                                              receptive_field, aliases,  NULL,    NULL,           NULL};
