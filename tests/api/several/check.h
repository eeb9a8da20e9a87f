/* check.h - y = bias + sum over a window, as plain loops, against a library's kernel for it: small integers, so that every
 * number must be the same. The program and its plug-in each have this for themselves, as each has its hconv.
 * SPDX-License-Identifier: MIT */
#include "hconv/hconv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

typedef struct check_case {
    const char *problem;
    int ci, co, size, window, pad; /* size: of the map's sides */
} check_case;

static float small(int i) { return (float)(i * 7 % 11 - 5); }

static float expected(const check_case *c, int o, int y, int x) {
    float sum = small(o);
    for (int i = 0; i < c->ci; ++i)
        for (int v = 0; v < c->window; ++v)
            for (int u = 0; u < c->window; ++u) {
                int row = y + v - c->pad, column = x + u - c->pad;
                if (row < 0 || row >= c->size || column < 0 || column >= c->size) continue;
                sum += small(((o * c->ci + i) * c->window + v) * c->window + u) * small((row * c->size + column) * c->ci + i);
            }
    return sum;
}

static int compare(const check_case *c, const float *y) {
    int out = c->size + 2 * c->pad - c->window + 1;
    for (int row = 0; row < out; ++row)
        for (int column = 0; column < out; ++column)
            for (int o = 0; o < c->co; ++o)
                if (y[(row * out + column) * c->co + o] != expected(c, o, row, column))
                    return printf("%s: wrong at %d, %d, %d\n", c->problem, row, column, o), 1;
    return 0;
}

static int run_plan(const check_case *c, const hconv_plan *plan) {
    float *x = malloc(MOST * sizeof *x), *y = malloc(MOST * sizeof *y), weight[MOST], bias[64];
    char *memory = malloc(1 << 20), *packed = memory + (64 - (size_t)memory % 64) % 64;
    hconv_parameter given[2] = {{"weight", weight, 0}, {"bias", bias, 0}};
    const void *inputs[1];
    void *outputs[1];
    hconv_run_args args;
    int failed;
    for (int i = 0; i < MOST; ++i) x[i] = weight[i] = small(i);
    for (int i = 0; i < 64; ++i) bias[i] = small(i);
    given[0].bytes = sizeof(float) * (size_t)(c->co * c->ci * c->window * c->window);
    given[1].bytes = sizeof(float) * (size_t)c->co;
    inputs[0] = x, outputs[0] = y;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.input_count = args.output_count = 1;
    args.inputs = inputs, args.outputs = outputs, args.packed = packed;
    failed = hconv_pack(plan, given, 2, packed, 1 << 19, NULL, 0) || hconv_run(plan, &args) || compare(c, y);
    free(memory);
    free(y);
    free(x);
    return failed;
}

/* Prints why, and returns how many of the cases went wrong. */
static int check_library(const hconv_library *const *libraries, int count, const check_case *cases, int case_count) {
    char why[HCONV_WHY_BYTES] = "";
    hconv_context_options options;
    hconv_context *ctx = NULL;
    int failed = 0;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.num_threads = 3;
    if (hconv_context_create(&options, &ctx, why, sizeof why)) return printf("%s\n", why), 1;
    for (int i = 0; i < count; ++i) failed += hconv_context_add_library(ctx, libraries[i]) != HCONV_OK;
    for (int i = 0; i < case_count; ++i) {
        hconv_plan *plan = NULL;
        hconv_problem p;
        if (hconv_problem_parse(cases[i].problem, &p, why, sizeof why) || hconv_plan_create(ctx, &p, &plan, why, sizeof why))
            ++failed, printf("%s\n", why);
        else failed += run_plan(&cases[i], plan);
        hconv_plan_destroy(plan);
    }
    hconv_context_destroy(ctx);
    return failed;
}

static const check_case of_one = {"conv2d_ci3_h9_co10_k3_p1", 3, 10, 9, 3, 1};
static const check_case of_two = {"conv2d_ci5_h8_co6_k5_p2", 5, 6, 8, 5, 2};
