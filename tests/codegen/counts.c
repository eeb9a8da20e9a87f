/* counts.c - one run of one kernel of the library `counts`, for callgrind: tests/codegen/counts_test.py.
 * SPDX-License-Identifier: MIT
 * usage: counts PROBLEM. Parameters and inputs are zeros and ones: instructions do not depend on them. */
#include "counts.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64 };

static void *memory(size_t bytes) {
    char *at = calloc(bytes + 64, 1);
    if (!at) exit(2);
    return at + (64 - (size_t)at % 64) % 64;
}

static void *ones(const hconv_tensor_info *t) {
    float *at = memory(t->bytes);
    size_t i;
    for (i = 0; i < t->bytes / sizeof *at; ++i) at[i] = 1;
    return at;
}

int main(int argc, char **argv) {
    char why[HCONV_WHY_BYTES] = "";
    hconv_problem problem;
    hconv_context *context = NULL;
    hconv_plan *plan = NULL;
    hconv_context_options options = {sizeof options};
    hconv_plan_info info = {sizeof info};
    hconv_run_args run = {sizeof run};
    hconv_parameter parameters[MOST];
    const void *inputs[MOST];
    void *outputs[MOST];
    hconv_status status;
    int i, count = 0;

    options.num_threads = 1;
    status = argc == 2 ? hconv_problem_parse(argv[1], &problem, why, sizeof why) : HCONV_INVALID_ARGUMENT;
    if (!status) status = hconv_context_create(&options, &context, why, sizeof why);
    if (!status) status = hconv_context_add_library(context, &hconv_library_counts);
    if (!status) status = hconv_plan_create(context, &problem, &plan, why, sizeof why);
    if (!status) status = hconv_plan_describe(plan, &info);
    for (i = 0; !status && i < info.tensor_count; ++i) {
        hconv_tensor_info t = {sizeof t};
        status = hconv_plan_tensor(plan, i, &t);
        if (status || t.optional) continue;
        if (t.role == HCONV_INPUT) inputs[run.input_count++] = ones(&t);
        else if (t.role == HCONV_OUTPUT) outputs[run.output_count++] = ones(&t);
        else parameters[count].name = t.name, parameters[count].data = ones(&t), parameters[count++].bytes = t.bytes;
    }
    run.inputs = inputs, run.outputs = outputs;
    run.workspace_bytes = info.workspace_bytes;
    run.workspace = memory(info.workspace_bytes);
    run.packed = memory(info.packed_bytes);
    if (!status) status = hconv_pack(plan, parameters, count, (void *)run.packed, info.packed_bytes, why, sizeof why);
    if (!status) status = hconv_run(plan, &run);
    if (status) fprintf(stderr, "%s: %s\n", hconv_status_name(status), why);
    else printf("%s\n", info.kernel);
    hconv_plan_destroy(plan);
    hconv_context_destroy(context);
    return status != HCONV_OK;
}
