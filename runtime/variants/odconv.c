/* odconv.c - ODConv (Li et al. 2022, arXiv:2209.07947; names and shapes: OSVAI/ODConv modules/odconv.py).
 * SPDX-License-Identifier: MIT
 * z  = relu(BN(fc(GAP(x))))
 * ac = sigmoid(channel_fc z / T), af = sigmoid(filter_fc z / T), as = sigmoid(spatial_fc z / T), aw = softmax(kernel_fc z / T)
 * W_n = as sum_k aw[k] weight[k],  y_n = act(bn(af conv(ac x_n, W_n)) + residual)
 * An attention that the module skips is 1 and has no tensors. BN folds into fc, T into the four last layers. */
#include "odconv.h"

#include "common.h"

#include <stdio.h>
#include <string.h>

hconv_odconv hconv_odconv_of(const hconv_problem *p) {
    hconv_odconv o;
    o.experts = p->extra[HCONV_EX];
    o.hidden = p->extra[HCONV_HID];
    o.filter = !(p->groups == p->ci && p->ci == p->co);
    o.spatial = p->kh > 1 || p->kw > 1;
    o.kernel = o.experts > 1;
    return o;
}

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    hconv_status status;
    p->flags &= ~(uint32_t)HCONV_NO_BIAS;
    if (!p->extra[HCONV_EX]) p->extra[HCONV_EX] = 4;
    if (!p->extra[HCONV_HID]) p->extra[HCONV_HID] = p->ci / 16 > 16 ? p->ci / 16 : 16;
    status = hconv_complete_conv(p, why, why_bytes);
    if (status) return status;
    if (p->kh != p->kw) {
        hconv_sentence(why, why_bytes, "odconv's window is square: kh%d and kw%d must be equal", (int)p->kh, (int)p->kw);
        return HCONV_INVALID_ARGUMENT;
    }
    return HCONV_OK;
}

/* The last layers of the attention head, each {output width, present, name}. */
typedef struct head { int64_t width; int present; const char *name; } head;
static void heads_of(const hconv_problem *p, head heads[4]) {
    hconv_odconv o = hconv_odconv_of(p);
    heads[0].width = p->ci, heads[0].present = 1, heads[0].name = "channel_fc";
    heads[1].width = p->co, heads[1].present = o.filter, heads[1].name = "filter_fc";
    heads[2].width = (int64_t)p->kh * p->kw, heads[2].present = o.spatial, heads[2].name = "spatial_fc";
    heads[3].width = o.experts, heads[3].present = o.kernel, heads[3].name = "kernel_fc";
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_odconv o = hconv_odconv_of(p);
    head heads[4];
    hconv_tensor *t;
    char name[48];
    heads_of(p, heads);
    list->count = 0;
    hconv_add_activation(list, HCONV_INPUT, "x", p, p->ci, p->h, p->w);
    if (p->flags & HCONV_RESIDUAL) hconv_add_activation(list, HCONV_INPUT, "residual", p, p->co, hconv_oh(p), hconv_ow(p));
    t = hconv_add_parameter(list, "weight", "", 5, o.experts, p->co, p->ci / p->groups, p->kh);
    t->extent[4] = p->kw;
    hconv_add_parameter(list, "attention.fc.weight", "", 4, o.hidden, p->ci, 1, 1);
    hconv_add_norm(list, "attention.bn", o.hidden);
    for (int i = 0; i < 4; ++i) {
        if (!heads[i].present) continue;
        snprintf(name, sizeof name, "attention.%s.weight", heads[i].name);
        hconv_add_parameter(list, name, "", 4, heads[i].width, o.hidden, 1, 1);
        snprintf(name, sizeof name, "attention.%s.bias", heads[i].name);
        hconv_add_parameter(list, name, "", 1, heads[i].width, 0, 0, 0);
    }
    t = hconv_add_parameter(list, "temperature", "", 1, 1, 0, 0, 0);
    t->optional = 1, t->default_value = 1;
    if (p->flags & HCONV_NORM) hconv_add_norm(list, "bn", p->co);
    hconv_add_slope(list, p);
    hconv_add_activation(list, HCONV_OUTPUT, "y", p, p->co, hconv_oh(p), hconv_ow(p));
}

static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    hconv_odconv o = hconv_odconv_of(p);
    head heads[4];
    char name[48];
    hconv_tensor *t;
    heads_of(p, heads);
    list->count = 0;
    t = hconv_add_parameter(list, "weight", "eoihw", 5, o.experts, p->co, p->ci / p->groups, p->kh);
    t->extent[4] = p->kw;
    hconv_add_parameter(list, "fc.weight", "oi", 2, o.hidden, p->ci, 0, 0);
    hconv_add_parameter(list, "fc.bias", "o", 1, o.hidden, 0, 0, 0);
    for (int i = 0; i < 4; ++i) {
        if (!heads[i].present) continue;
        snprintf(name, sizeof name, "%s.weight", heads[i].name);
        hconv_add_parameter(list, name, "oi", 2, heads[i].width, o.hidden, 0, 0);
        snprintf(name, sizeof name, "%s.bias", heads[i].name);
        hconv_add_parameter(list, name, "o", 1, heads[i].width, 0, 0, 0);
    }
    hconv_add_parameter(list, "bias", "o", 1, p->co, 0, 0, 0);
    hconv_add_slope(list, p);
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    hconv_odconv o = hconv_odconv_of(p);
    const float *weight = given[0], *fc = given[1];
    const float *const *attention_norm = given + 2, *const *norm = NULL;
    const float *const *at = given + 7, *temperature;
    float *const *to = dense + 1;
    int64_t per_output = (int64_t)(p->ci / p->groups) * p->kh * p->kw;
    double inverse;
    head heads[4];
    heads_of(p, heads);
    for (int64_t z = 0; z < o.hidden; ++z) {
        double scale, shift;
        hconv_norm_scale(attention_norm, z, &scale, &shift);
        for (int64_t i = 0; i < p->ci; ++i) to[0][z * p->ci + i] = (float)(scale * (double)fc[z * p->ci + i]);
        to[1][z] = (float)shift;
    }
    to += 2;
    temperature = given[7 + 2 * (heads[0].present + heads[1].present + heads[2].present + heads[3].present)];
    inverse = 1.0 / (temperature ? (double)*temperature : 1.0);
    for (int i = 0; i < 4; ++i) {
        if (!heads[i].present) continue;
        for (int64_t j = 0; j < heads[i].width * o.hidden; ++j) to[0][j] = (float)(inverse * (double)at[0][j]);
        for (int64_t j = 0; j < heads[i].width; ++j) to[1][j] = (float)(inverse * (double)at[1][j]);
        at += 2, to += 2;
    }
    ++at; /* temperature */
    if (p->flags & HCONV_NORM) norm = at, at += 5;
    for (int64_t out = 0; out < p->co; ++out) {
        double scale = 1, shift = 0;
        if (norm) hconv_norm_scale(norm, out, &scale, &shift);
        for (int64_t e = 0; e < o.experts; ++e)
            for (int64_t i = 0; i < per_output; ++i)
                dense[0][(e * p->co + out) * per_output + i] =
                    (float)(scale * (double)weight[(e * p->co + out) * per_output + i]);
        to[0][out] = (float)shift;
    }
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) hconv_fold_slope(p, *at, to[1]);
}

static double multiply_adds(const hconv_problem *p) {
    hconv_odconv o = hconv_odconv_of(p);
    double weights = (double)p->co * (p->ci / p->groups) * p->kh * p->kw, sum;
    head heads[4];
    heads_of(p, heads);
    sum = weights * hconv_oh(p) * hconv_ow(p) + weights * o.experts + (double)p->ci * o.hidden;
    for (int i = 0; i < 4; ++i)
        if (heads[i].present) sum += (double)heads[i].width * o.hidden;
    return sum * p->n;
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    *height = p->dilation_h * (p->kh - 1) + 1;
    *width = p->dilation_w * (p->kw - 1) + 1;
}

static const hconv_key keys[] = {
    {"ex", 1, {HCONV_FIELD(extra[HCONV_EX])}, 1, 4096},
    {"hid", 1, {HCONV_FIELD(extra[HCONV_HID])}, 1, HCONV_SIZE_MOST},
    HCONV_KEY_END,
};

const hconv_family hconv_family_odconv = {"odconv",        complete, tensors, kernel_tensors, fold, multiply_adds,
                                          receptive_field, NULL,     keys,    NULL, NULL};
