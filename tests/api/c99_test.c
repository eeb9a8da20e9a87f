/* c99_test.c - the public header is C99, and an application that uses every function of it once is this long.
 * SPDX-License-Identifier: MIT */
#include "hconv/hconv.h"

#include "fake_library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *aligned(void *memory) { return (char *)memory + (64 - (uintptr_t)memory % 64) % 64; }

static int check(hconv_status status, const char *what, const char *why) {
    if (status != HCONV_OK) printf("%s: %s: %s\n", what, hconv_status_name(status), why);
    return status != HCONV_OK;
}

/* y[pixel][o] = b[o] + sum_c w[o][c] x[pixel][c] with x = pixel + c, w = o + 1, b = 10 o: exact. */
static int compare(const float *y) {
    for (int pixel = 0; pixel < 20; ++pixel)
        for (int o = 0; o < 2; ++o) {
            float want = (float)(10 * o + (o + 1) * (3 * pixel + 3));
            if (y[pixel * 2 + o] != want) {
                printf("y[%d][%d] is %g, not %g\n", pixel, o, (double)y[pixel * 2 + o], (double)want);
                return 1;
            }
        }
    return 0;
}

static int pack_and_run(const hconv_plan *plan, const hconv_plan_info *info) {
    static float x[20 * 3], y[20 * 2], weight[2 * 3] = {1, 1, 1, 2, 2, 2}, bias[2] = {0, 10};
    char why[HCONV_WHY_BYTES] = "";
    hconv_parameter parameters[2];
    hconv_run_args args;
    const void *inputs[1];
    void *outputs[1], *packed = malloc(info->packed_bytes + 64), *workspace = malloc(info->workspace_bytes + 64);
    int failed;
    if (!packed || !workspace) return 1;
    for (int i = 0; i < 60; ++i) x[i] = (float)(i / 3 + i % 3);
    parameters[0].name = "weight", parameters[0].data = weight, parameters[0].bytes = sizeof weight;
    parameters[1].name = "bias", parameters[1].data = bias, parameters[1].bytes = sizeof bias;
    failed = check(hconv_pack(plan, parameters, 2, aligned(packed), info->packed_bytes, why, sizeof why), "pack", why);

    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.input_count = args.output_count = 1;
    inputs[0] = x, outputs[0] = y;
    args.inputs = inputs, args.outputs = outputs;
    args.packed = aligned(packed);
    args.workspace = aligned(workspace), args.workspace_bytes = info->workspace_bytes;
    failed |= check(hconv_run(plan, &args), "run", "");
    failed |= compare(y);
    free(packed);
    free(workspace);
    return failed;
}

int main(void) {
    char why[HCONV_WHY_BYTES] = "", text[HCONV_PROBLEM_BYTES];
    hconv_problem problem;
    hconv_context_options options;
    hconv_context *ctx = NULL;
    hconv_plan *plan = NULL;
    hconv_plan_info info;
    int failed = hconv_version() != HCONV_VERSION;

    failed |= check(hconv_problem_parse(FAKE_FIXED, &problem, why, sizeof why), "parse", why);
    failed |= check(hconv_problem_format(&problem, text, sizeof text), "format", "");
    failed |= strcmp(text, FAKE_FIXED) != 0;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.num_threads = 2;
    failed |= check(hconv_context_create(&options, &ctx, why, sizeof why), "context", why);
    failed |= check(hconv_context_add_library(ctx, &fake_library), "add_library", "");
    failed |= check(hconv_plan_create(ctx, &problem, &plan, why, sizeof why), "plan", why);
    if (failed) return 1;

    info.struct_size = sizeof info;
    failed |= check(hconv_plan_describe(plan, &info), "describe", "");
    for (int i = 0; i < info.tensor_count; ++i) {
        hconv_tensor_info tensor;
        tensor.struct_size = sizeof tensor;
        failed |= check(hconv_plan_tensor(plan, i, &tensor), "tensor", "");
        printf("%s: %d dimensions, %lu bytes\n", tensor.name, (int)tensor.rank, (unsigned long)tensor.bytes);
    }
    failed |= pack_and_run(plan, &info);
    hconv_plan_destroy(plan);
    hconv_context_destroy(ctx);
    return failed;
}
