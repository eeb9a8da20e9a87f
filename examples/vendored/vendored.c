/* vendored.c - one kernel with open sizes, run on images of several sizes; memory and log are the application's own.
 * SPDX-License-Identifier: MIT
 * All plans of a kernel share one blob, and with a workspace given hconv_run allocates nothing: both are checked. The answer:
 * every window inside the image sums nine ones over four channels, so y = silu(36) = 36 / (1 + exp(-36)) there. */
#include "mynet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct arena { /* a bump allocator; the runtime frees nothing it did not get here */
    char *memory;
    size_t used, room;
    int allocations;
} arena;

static void *arena_alloc(void *user, size_t align, size_t bytes) {
    arena *a = (arena *)user;
    size_t start = (size_t)(a->memory + a->used), aligned = (start + align - 1) / align * align;
    if (aligned - (size_t)a->memory + bytes > a->room) return NULL;
    a->used = aligned - (size_t)a->memory + bytes;
    ++a->allocations;
    return a->memory + (aligned - (size_t)a->memory);
}

static void arena_free(void *user, void *ptr) { (void)user, (void)ptr; }

static void log_line(void *user, int level, const char *message) {
    (void)user;
    fprintf(stderr, "hconv says (%d): %s\n", level, message);
}

static float *ones(arena *a, size_t count) {
    float *data = (float *)arena_alloc(a, 64, count * sizeof *data);
    for (size_t i = 0; data && i < count; ++i) data[i] = 1;
    return data;
}

/* Runs one size; packs into *blob the first time. Returns 0 where all is as it must be. */
static int run_size(const hconv_context *context, arena *a, int h, int w, void **blob) {
    static const float bias[6] = {0};
    char text[HCONV_PROBLEM_BYTES], why[HCONV_WHY_BYTES] = "";
    float *weight = ones(a, 6 * 4 * 9), *x = ones(a, (size_t)(h * w * 4)), *y;
    int oh = (h + 1) / 2, ow = (w + 1) / 2, before;
    hconv_parameter parameters[] = {{"weight", weight, 6 * 4 * 9 * sizeof(float)}, {"bias", bias, sizeof bias}};
    const void *inputs[] = {x};
    void *outputs[1];
    hconv_problem problem;
    hconv_plan *plan = NULL;
    hconv_plan_info info = {sizeof info};
    hconv_run_args run = {sizeof run};
    hconv_status status;

    snprintf(text, sizeof text, "conv2d_ci4_h%d_w%d_co6_k3_s2_p1_silu", h, w);
    status = hconv_problem_parse(text, &problem, why, sizeof why);
    if (!status) status = hconv_plan_create(context, &problem, &plan, why, sizeof why);
    if (!status) status = hconv_plan_describe(plan, &info);
    if (!status && !*blob) {
        *blob = arena_alloc(a, 64, info.packed_bytes);
        status = hconv_pack(plan, parameters, 2, *blob, info.packed_bytes, why, sizeof why);
    }
    y = ones(a, (size_t)(oh * ow * 6));
    outputs[0] = y;
    run.input_count = run.output_count = 1, run.inputs = inputs, run.outputs = outputs, run.packed = *blob;
    run.workspace = arena_alloc(a, 64, info.workspace_bytes), run.workspace_bytes = info.workspace_bytes;
    before = a->allocations;
    if (!status) status = hconv_run(plan, &run);
    hconv_plan_destroy(plan);
    if (status || !x || !y || !weight) {
        fprintf(stderr, "%s: %s: %s\n", text, hconv_status_name(status), why);
        return 1;
    }
    printf("%s: workspace %lu bytes, y[1][1] = %g\n", text, (unsigned long)info.workspace_bytes, (double)y[(ow + 1) * 6]);
    return a->allocations != before || fabs(y[(ow + 1) * 6] - 36 / (1 + exp(-36.0))) > 1e-4;
}

int main(void) {
    char why[HCONV_WHY_BYTES] = "";
    arena a = {NULL, 0, 1 << 24, 0};
    void *blob = NULL;
    hconv_context *context = NULL;
    hconv_context_options options = {sizeof options};
    int wrong = 0;

    a.memory = (char *)malloc(a.room);
    options.num_threads = 1, options.user = &a;
    options.alloc = arena_alloc, options.free = arena_free, options.log = log_line;
    if (!a.memory || hconv_context_create(&options, &context, why, sizeof why) ||
        hconv_context_add_library(context, &hconv_library_mynet)) {
        fprintf(stderr, "no context: %s\n", why);
        return 1;
    }
    for (int size = 5; size < 40; size += 11) wrong += run_size(context, &a, size, size + 3, &blob);
    hconv_context_destroy(context);
    free(a.memory);
    printf(wrong ? "%d sizes are wrong\n" : "%d sizes are wrong: all good\n", wrong);
    return wrong != 0;
}
