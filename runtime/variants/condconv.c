/* condconv.c - a kernel a sample, mixed of experts: CondConv (Yang et al. 2019, arXiv:1904.04971; names and shapes:
 * d-li14/condconv.pytorch, timm CondConv2d) and DynamicConv (Chen et al. 2020, arXiv:1912.03458;
 * kaijieshi7/Dynamic-convolution-Pytorch).
 * SPDX-License-Identifier: MIT
 * condconv:    r = sigmoid(route.fc GAP(x)), or the input routing
 * dynamicconv: r = softmax(fc2 relu(fc1 GAP(x)) / T)
 * y_n = act(bn(conv(x_n, sum_k r[n,k] weight[k]) + sum_k r[n,k] bias[k]) + residual)
 * timm's weight [ex, co ci/g kh kw] is the same numbers in the same order. bn's scale folds into weight and bias, T into
 * fc2. */
#include "condconv.h"

#include "common.h"

hconv_routing hconv_routing_of(const hconv_problem *p) {
    if (p->variant == HCONV_VARIANT_condconv)
        return p->extra[HCONV_ROUTED] ? HCONV_ROUTING_INPUT : HCONV_ROUTING_SIGMOID;
    return p->extra[HCONV_EX] > 1 ? HCONV_ROUTING_SOFTMAX : HCONV_ROUTING_ONE;
}

static hconv_status complete(hconv_problem *p, char *why, size_t why_bytes) {
    if (!p->extra[HCONV_EX]) p->extra[HCONV_EX] = 4;
    if (p->variant == HCONV_VARIANT_dynamicconv && !p->extra[HCONV_HID])
        p->extra[HCONV_HID] = p->ci == 3 ? p->extra[HCONV_EX] : p->ci / 4 + 1;
    return hconv_complete_conv(p, why, why_bytes);
}

/* weight [ex, co, ci/g, kh, kw] and bias [ex, co], standard and kernel's alike. */
static void add_experts(hconv_tensor_list *list, const hconv_problem *p, const char *weight, const char *bias) {
    int32_t experts = p->extra[HCONV_EX];
    hconv_tensor *t = hconv_add_parameter(list, "weight", weight, 5, experts, p->co, p->ci / p->groups, p->kh);
    t->extent[4] = p->kw;
    if (!(p->flags & HCONV_NO_BIAS)) hconv_add_parameter(list, "bias", bias, 2, experts, p->co, 0, 0);
}

static void tensors(const hconv_problem *p, hconv_tensor_list *list) {
    int32_t experts = p->extra[HCONV_EX], hidden = p->extra[HCONV_HID];
    hconv_tensor *t;
    list->count = 0;
    hconv_add_activation(list, HCONV_INPUT, "x", p, p->ci, p->h, p->w);
    if (hconv_routing_of(p) == HCONV_ROUTING_INPUT) {
        int64_t extent[2];
        extent[0] = p->n, extent[1] = experts;
        hconv_tensor_add(list, HCONV_INPUT, "routing", "nc", 2, extent);
    }
    if (p->flags & HCONV_RESIDUAL)
        hconv_add_activation(list, HCONV_INPUT, "residual", p, p->co, hconv_oh(p), hconv_ow(p));
    add_experts(list, p, "", "");
    if (hconv_routing_of(p) == HCONV_ROUTING_SIGMOID) {
        hconv_add_parameter(list, "route.fc.weight", "", 2, experts, p->ci, 0, 0);
        hconv_add_parameter(list, "route.fc.bias", "", 1, experts, 0, 0, 0);
    }
    if (p->variant == HCONV_VARIANT_dynamicconv) {
        hconv_add_parameter(list, "attention.fc1.weight", "", 4, hidden, p->ci, 1, 1);
        hconv_add_parameter(list, "attention.fc2.weight", "", 4, experts, hidden, 1, 1);
        hconv_add_parameter(list, "attention.fc2.bias", "", 1, experts, 0, 0, 0);
        t = hconv_add_parameter(list, "temperature", "", 1, 1, 0, 0, 0);
        t->optional = 1, t->default_value = 1;
    }
    if (p->flags & HCONV_NORM) hconv_add_norm(list, "bn", p->co);
    hconv_add_slope(list, p);
    hconv_add_activation(list, HCONV_OUTPUT, "y", p, p->co, hconv_oh(p), hconv_ow(p));
}

/* shift: what bn adds, whatever the routing. */
static void kernel_tensors(const hconv_problem *p, hconv_tensor_list *list) {
    int32_t experts = p->extra[HCONV_EX], hidden = p->extra[HCONV_HID];
    list->count = 0;
    add_experts(list, p, "eoihw", "eo");
    hconv_add_parameter(list, "shift", "o", 1, p->co, 0, 0, 0);
    if (hconv_routing_of(p) == HCONV_ROUTING_SIGMOID) {
        hconv_add_parameter(list, "fc.weight", "oi", 2, experts, p->ci, 0, 0);
        hconv_add_parameter(list, "fc.bias", "o", 1, experts, 0, 0, 0);
    }
    if (hconv_routing_of(p) == HCONV_ROUTING_SOFTMAX) {
        hconv_add_parameter(list, "fc1.weight", "oi", 2, hidden, p->ci, 0, 0);
        hconv_add_parameter(list, "fc2.weight", "oi", 2, experts, hidden, 0, 0);
        hconv_add_parameter(list, "fc2.bias", "o", 1, experts, 0, 0, 0);
    }
    hconv_add_slope(list, p);
}

static void scaled(float *to, const float *from, int64_t count, double scale) {
    for (int64_t i = 0; i < count; ++i) to[i] = (float)(scale * (double)from[i]);
}

/* The layers that the routing is made by; moves both lists on. */
static void fold_layers(const hconv_problem *p, const float *const **given, float *const **dense) {
    int64_t experts = p->extra[HCONV_EX], hidden = p->extra[HCONV_HID];
    const float *const *from = *given;
    float *const *to = *dense;
    if (hconv_routing_of(p) == HCONV_ROUTING_SIGMOID) {
        scaled(to[0], from[0], experts * p->ci, 1);
        scaled(to[1], from[1], experts, 1);
        *given += 2, *dense += 2;
    }
    if (p->variant != HCONV_VARIANT_dynamicconv) return;
    if (hconv_routing_of(p) == HCONV_ROUTING_SOFTMAX) {
        double inverse = 1.0 / (from[3] ? (double)*from[3] : 1.0);
        scaled(to[0], from[0], hidden * p->ci, 1);
        scaled(to[1], from[1], experts * hidden, inverse);
        scaled(to[2], from[2], experts, inverse);
        *dense += 3;
    }
    *given += 4;
}

static void fold(const hconv_problem *p, const float *const *given, float *const *dense) {
    int64_t per_output = (int64_t)(p->ci / p->groups) * p->kh * p->kw, experts = p->extra[HCONV_EX];
    const float *weight = *given++, *bias = p->flags & HCONV_NO_BIAS ? NULL : *given++;
    float *weights = *dense++, *biases = bias ? *dense++ : NULL, *shifts = *dense++;
    const float *const *norm = NULL;
    fold_layers(p, &given, &dense);
    if (p->flags & HCONV_NORM) norm = given, given += 5;
    for (int64_t o = 0; o < p->co; ++o) {
        double scale = 1, shift = 0;
        if (norm) hconv_norm_scale(norm, o, &scale, &shift);
        for (int64_t e = 0; e < experts; ++e) {
            int64_t row = e * p->co + o;
            scaled(weights + row * per_output, weight + row * per_output, per_output, scale);
            if (bias) scaled(biases + row, bias + row, 1, scale);
        }
        shifts[o] = (float)shift;
    }
    if (p->activation == HCONV_PRELU || p->activation == HCONV_LEAKY) hconv_fold_slope(p, *given, *dense);
}

static double multiply_adds(const hconv_problem *p) {
    double weights = (double)p->co * (p->ci / p->groups) * p->kh * p->kw, experts = p->extra[HCONV_EX], routing = 0;
    if (hconv_routing_of(p) == HCONV_ROUTING_SIGMOID) routing = experts * p->ci;
    if (hconv_routing_of(p) == HCONV_ROUTING_SOFTMAX) routing = (double)p->extra[HCONV_HID] * (p->ci + experts);
    return (weights * hconv_oh(p) * hconv_ow(p) + weights * experts + routing) * p->n;
}

static void receptive_field(const hconv_problem *p, int *height, int *width) {
    *height = p->dilation_h * (p->kh - 1) + 1;
    *width = p->dilation_w * (p->kw - 1) + 1;
}

static const hconv_alias aliases[] = {{"conv.", ""},
                                      {"route_func.fc.", "route.fc."},
                                      {"routing_fn.", "route.fc."},
                                      {"fc.", "route.fc."},
                                      {"conv.bn.", "bn."},
                                      {NULL, NULL}};

static const hconv_key keys[] = {
    {"ex", 1, {HCONV_FIELD(extra[HCONV_EX])}, 1, 4096},
    {"hid", 1, {HCONV_FIELD(extra[HCONV_HID])}, 1, HCONV_SIZE_MOST},
    HCONV_KEY_END,
};

static const hconv_word words[] = {{"routed", HCONV_FIELD(extra[HCONV_ROUTED]), 1}, HCONV_WORD_END};

const hconv_family hconv_family_condconv = {"condconv",      complete, tensors, kernel_tensors, fold, multiply_adds,
                                            receptive_field, aliases,  keys,    words, NULL};
