/* minimal.c - two layers, one behind the other: relu(conv 3 -> 8, 12 x 12), then a depthwise convolution with stride 2.
 * SPDX-License-Identifier: MIT
 * Small integers, so that every sum is exact: the result must equal the plain loops below, bit for bit. */
#include "mynet.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 12, HALF = 6, IN = 3, OUT = 8 };

/* Tensors are nhwc; parameters have the names, shapes and order of the PyTorch module's state_dict. */
static float x[SIZE * SIZE * IN], weight[OUT * IN * 9], bias[OUT], middle[SIZE * SIZE * OUT];
static float window[OUT * 9], shift[OUT], y[HALF * HALF * OUT], expected[HALF * HALF * OUT];

static void fill(float *data, int count, int step) {
    for (int i = 0; i < count; ++i) data[i] = (float)(i * step % 7 - 3);
}

/* One layer: plan, pack, run. In an application plan and blob are kept: only hconv_run is called again. */
static int layer(const hconv_context *context, const char *text, const hconv_parameter *parameters, const float *from,
                 float *to) {
    char why[HCONV_WHY_BYTES] = "";
    const void *inputs[1];
    void *outputs[1], *memory = NULL;
    hconv_problem problem;
    hconv_plan *plan = NULL;
    hconv_plan_info info = {sizeof info};
    hconv_run_args run = {sizeof run};
    hconv_status status = hconv_problem_parse(text, &problem, why, sizeof why);

    inputs[0] = from, outputs[0] = to;
    run.input_count = run.output_count = 1, run.inputs = inputs, run.outputs = outputs;
    if (!status) status = hconv_plan_create(context, &problem, &plan, why, sizeof why);
    if (!status) status = hconv_plan_describe(plan, &info);
    if (!status && !(memory = malloc(info.packed_bytes + 64))) status = HCONV_OUT_OF_MEMORY;
    if (!status) {
        run.packed = (char *)memory + (64 - (size_t)memory % 64) % 64;
        status = hconv_pack(plan, parameters, 2, (void *)run.packed, info.packed_bytes, why, sizeof why);
    }
    if (!status) status = hconv_run(plan, &run);
    if (status) fprintf(stderr, "%s: %s: %s\n", text, hconv_status_name(status), why);
    else printf("%s ran as %s\n", text, info.kernel);
    hconv_plan_destroy(plan);
    free(memory);
    return status == HCONV_OK;
}

/* The input's or the middle map's value, zero outside. */
static float at(const float *map, int channels, int row, int column, int c) {
    return row < 0 || row >= SIZE || column < 0 || column >= SIZE ? 0 : map[(row * SIZE + column) * channels + c];
}

static float first(int row, int column, int co) {
    float sum = bias[co];
    for (int ci = 0; ci < IN; ++ci)
        for (int k = 0; k < 9; ++k) sum += weight[(co * IN + ci) * 9 + k] * at(x, IN, row + k / 3 - 1, column + k % 3 - 1, ci);
    return sum > 0 ? sum : 0;
}

static void plain_loops(void) {
    static float map[SIZE * SIZE * OUT];
    for (int i = 0; i < SIZE * SIZE * OUT; ++i) map[i] = first(i / OUT / SIZE, i / OUT % SIZE, i % OUT);
    for (int i = 0; i < HALF * HALF * OUT; ++i) {
        int c = i % OUT, row = i / OUT / HALF * 2 - 1, column = i / OUT % HALF * 2 - 1;
        expected[i] = shift[c];
        for (int k = 0; k < 9; ++k) expected[i] += window[c * 9 + k] * at(map, OUT, row + k / 3, column + k % 3, c);
    }
}

int main(void) {
    const hconv_parameter conv[] = {{"weight", weight, sizeof weight}, {"bias", bias, sizeof bias}};
    const hconv_parameter depthwise[] = {{"weight", window, sizeof window}, {"bias", shift, sizeof shift}};
    char why[HCONV_WHY_BYTES] = "";
    hconv_context *context = NULL;
    int good, wrong = 0;

    fill(x, SIZE * SIZE * IN, 3), fill(weight, OUT * IN * 9, 5), fill(bias, OUT, 2), fill(window, OUT * 9, 4), fill(shift, OUT, 1);
    if (hconv_context_create(NULL, &context, why, sizeof why) || hconv_context_add_library(context, &hconv_library_mynet)) {
        fprintf(stderr, "no context: %s\n", why);
        return 1;
    }
    good = layer(context, "conv2d_ci3_h12_co8_k3_p1_relu", conv, x, middle) &&
           layer(context, "depthwise_ci8_h12_k3_s2_p1", depthwise, middle, y);
    hconv_context_destroy(context);
    plain_loops();
    for (int i = 0; good && i < HALF * HALF * OUT; ++i) wrong += y[i] != expected[i];
    if (good) printf("%d of %d outputs differ from the plain loops\n", wrong, HALF * HALF * OUT);
    return !good || wrong;
}
