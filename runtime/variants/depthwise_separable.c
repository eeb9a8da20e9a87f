/* depthwise_separable.c - a window a channel, then a matrix product over the channels, in one kernel.
 * SPDX-License-Identifier: MIT
 * z[n,c,i,j] = act_mid(bn_mid(bd[c] + sum_{u,v} D[c,u,v] xpad[n, c/m, i sh + u dh, j sw + v dw]))   c = 0 .. ci m - 1
 * y[n,o,i,j] = act(bn(b[o] + sum_c P[o,c] z[n,c,i,j]) + residual)
 * Names: DepthwiseSeparableConvolution of External-Attention-pytorch; timm's conv_dw, conv_pw, bn1, bn2 are aliases. In
 * hconv_problem HCONV_NO_BIAS means the pointwise bias. Norms fold into the weights before them. */
#include "depthwise_separable.h"

#include "common.h"

static int64_t middle_channels(const hconv_problem *p) { return (int64_t)p->ci * p->extra[HCONV_MULTIPLIER]; }

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    if (!p->extra[HCONV_MULTIPLIER]) p->extra[HCONV_MULTIPLIER] = 1;
    if (middle_channels(p) > HCONV_SIZE_MOST) {
        hconv_sentence(why, why_bytes, "m%d times ci%d is more than %d channels between the two convolutions",
                       (int)p->extra[HCONV_MULTIPLIER], (int)p->ci, HCONV_SIZE_MOST);
        return HCONV_INVALID_ARGUMENT;
    }
    return hconv_complete_conv(p, why, why_bytes);
}

/* mid_slope, where the middle activation has one: as slope, a value a middle channel. */
static void add_mid_slope(const hconv_problem *p, hconv_tensor_list *list) {
    if (p->mid_activation == HCONV_PRELU) hconv_add_parameter(list, "mid_slope", "o", 1, middle_channels(p), 0, 0, 0);
    if (p->mid_activation == HCONV_LEAKY) {
        hconv_tensor *slope = hconv_add_parameter(list, "mid_slope", "s", 1, 1, 0, 0, 0);
        slope->optional = 1;
        slope->default_value = HCONV_LEAKY_SLOPE;
    }
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    int64_t middle = middle_channels(p);
    list->count = 0;
    hconv_add_activation(list, HCONV_INPUT, "x", p, p->ci, p->h, p->w);
    if (p->flags & HCONV_RESIDUAL)
        hconv_add_activation(list, HCONV_INPUT, "residual", p, p->co, hconv_oh(p), hconv_ow(p));
    hconv_add_parameter(list, "depthwise_conv.weight", "", 4, middle, 1, p->kh, p->kw);
    if (!p->extra[HCONV_DW_NO_BIAS]) hconv_add_parameter(list, "depthwise_conv.bias", "", 1, middle, 0, 0, 0);
    if (p->extra[HCONV_MID_NORM]) hconv_add_norm(list, "mid_bn", middle);
    add_mid_slope(p, list);
    hconv_add_parameter(list, "pointwise_conv.weight", "", 4, p->co, middle, 1, 1);
    if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "pointwise_conv.bias", "", 1, p->co, 0, 0, 0);
    if (p->flags & HCONV_NORM) hconv_add_norm(list, "bn", p->co);
    hconv_add_slope(list, p);
    hconv_add_activation(list, HCONV_OUTPUT, "y", p, p->co, hconv_oh(p), hconv_ow(p));
}

static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    int64_t middle = middle_channels(p);
    list->count = 0;
    hconv_add_parameter(list, "depthwise.weight", "ohw", 3, middle, p->kh, p->kw, 0);
    hconv_add_parameter(list, "depthwise.bias", "o", 1, middle, 0, 0, 0);
    add_mid_slope(p, list);
    hconv_add_parameter(list, "pointwise.weight", "oi", 2, p->co, middle, 0, 0);
    hconv_add_parameter(list, "pointwise.bias", "o", 1, p->co, 0, 0, 0);
    hconv_add_slope(list, p);
}

/* A layer's weight and bias (NULL = 0), with the norm behind them (NULL = none), to dense[0] and dense[1]. */
static void fold_layer(int64_t outputs, int64_t per_output, const float *weight, const float *bias,
                       const float *const *norm, float *const *dense) {
    for (int64_t o = 0; o < outputs; ++o) {
        double scale = 1, shift = 0;
        if (norm) hconv_norm_scale(norm, o, &scale, &shift);
        for (int64_t i = o * per_output; i < (o + 1) * per_output; ++i)
            dense[0][i] = (float)(scale * (double)weight[i]);
        dense[1][o] = (float)(shift + scale * (bias ? (double)bias[o] : 0.0));
    }
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    int64_t middle = middle_channels(p);
    const float *weight = *given++;
    const float *bias = p->extra[HCONV_DW_NO_BIAS] ? NULL : *given++;
    const float *const *norm = NULL;
    if (p->extra[HCONV_MID_NORM]) norm = given, given += 5;
    fold_layer(middle, (int64_t)p->kh * p->kw, weight, bias, norm, dense);
    dense += 2;
    if (p->mid_activation == HCONV_PRELU || p->mid_activation == HCONV_LEAKY) {
        const float *slope = *given++;
        int64_t count = p->mid_activation == HCONV_PRELU ? middle : 1;
        for (int64_t i = 0; i < count; ++i) dense[0][i] = slope ? slope[i] : (float)HCONV_LEAKY_SLOPE;
        ++dense;
    }
    weight = *given++, norm = NULL;
    bias = p->flags & HCONV_NO_BIAS ? NULL : *given++;
    if (p->flags & HCONV_NORM) norm = given, given += 5;
    fold_layer(p->co, middle, weight, bias, norm, dense);
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) hconv_fold_slope(p, *given, dense[2]);
}

static double multiply_adds(const hconv_problem *p) {
    return (double)p->n * hconv_oh(p) * hconv_ow(p) * (double)middle_channels(p) * ((double)p->kh * p->kw + p->co);
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    *height = p->dilation_h * (p->kh - 1) + 1;
    *width = p->dilation_w * (p->kw - 1) + 1;
}

static const hconv_alias aliases[] = {{"conv_dw.", "depthwise_conv."},
                                      {"conv_pw.", "pointwise_conv."},
                                      {"depthwise.", "depthwise_conv."},
                                      {"pointwise.", "pointwise_conv."},
                                      {"bn1.", "mid_bn."},
                                      {"bn2.", "bn."},
                                      {NULL, NULL}};

static const hconv_key keys[] = {
    {"m", 1, {HCONV_FIELD(extra[HCONV_MULTIPLIER])}, 1, HCONV_SIZE_MOST},
    HCONV_KEY_END,
};

#define MID HCONV_FIELD(mid_activation)
static const hconv_word words[] = {
    {"dwnobias", HCONV_FIELD(extra[HCONV_DW_NO_BIAS]), 1},
    {"pwnobias", HCONV_FIELD(flags), HCONV_NO_BIAS},
    {"mbn", HCONV_FIELD(extra[HCONV_MID_NORM]), 1},
    {"mrelu", MID, HCONV_RELU},
    {"mrelu6", MID, HCONV_RELU6},
    {"mleaky", MID, HCONV_LEAKY},
    {"mprelu", MID, HCONV_PRELU},
    {"msilu", MID, HCONV_SILU},
    {"mhardswish", MID, HCONV_HARDSWISH},
    {"mhardsigmoid", MID, HCONV_HARDSIGMOID},
    {"mgelu", MID, HCONV_GELU},
    {"mgelutanh", MID, HCONV_GELUTANH},
    {"msigmoid", MID, HCONV_SIGMOID},
    {"mtanh", MID, HCONV_TANH},
    HCONV_WORD_END,
};

const hconv_family hconv_family_depthwise_separable = {
    "depthwise_separable", complete, tensors, kernel_tensors, fold, multiply_adds,
    receptive_field,       aliases,  keys,    words,          NULL};
