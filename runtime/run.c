/* run.c - check a call, build the buffers, call the kernel.
 * SPDX-License-Identifier: MIT
 * workspace = [worker 0's root][slot 0] .. [slot num_threads - 1]; every part begins with an hconv_worker. */
#include "internal.h"
#include "pack.h"

#include <string.h>

typedef char worker_fits_in_header[sizeof(hconv_worker) <= HCONV_ALIGN ? 1 : -1];

static size_t tensor_bytes(const hconv_tensor *t) {
    size_t bytes = sizeof(float);
    for (int i = 0; i < t->rank; ++i) bytes *= (size_t)t->extent[i];
    return bytes;
}

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_bytes && y < x + a_bytes;
}

static hconv_status refuse(const hconv_plan *plan, const char *sentence) {
    hconv_context_log(plan->context, 2, sentence);
    return HCONV_INVALID_ARGUMENT;
}

static int on_device(const hconv_plan *plan) { return (plan->kernel->cpu_features & HCONV_DEVICE_CUDA) != 0; }

static hconv_status check_tensors(const hconv_plan *plan, const hconv_run_args *args) {
    const size_t align = on_device(plan) ? HCONV_DEVICE_TENSOR_ALIGN : sizeof(float);
    const hconv_tensor *inputs = plan->tensors;
    const hconv_tensor *outputs = plan->tensors + plan->tensor_count - plan->output_count;
    for (int i = 0; i < args->input_count; ++i)
        if (!args->inputs[i] || (uintptr_t)args->inputs[i] % align)
            return refuse(plan, "hconv_run: an input is NULL or not 4-byte aligned (CUDA: 16)");
    for (int o = 0; o < args->output_count; ++o) {
        size_t bytes = tensor_bytes(&outputs[o]);
        if (!args->outputs[o] || (uintptr_t)args->outputs[o] % align)
            return refuse(plan, "hconv_run: an output is NULL or not 4-byte aligned (CUDA: 16)");
        for (int i = 0; i < args->input_count; ++i)
            if (overlap(args->outputs[o], bytes, args->inputs[i], tensor_bytes(&inputs[i])))
                return refuse(plan, "hconv_run: an output overlaps an input");
        for (int other = 0; other < o; ++other)
            if (overlap(args->outputs[o], bytes, args->outputs[other], tensor_bytes(&outputs[other])))
                return refuse(plan, "hconv_run: two outputs overlap");
    }
    return HCONV_OK;
}

static const hconv_struct args_struct = {"hconv_run_args", offsetof(hconv_run_args, workspace), sizeof(hconv_run_args)};

static hconv_status check_args(const hconv_plan *plan, const hconv_run_args *args, size_t workspace_bytes) {
    const hconv_blob_header *header;
    const size_t align = on_device(plan) ? HCONV_DEVICE_ALIGN : HCONV_ALIGN;
    if (args->input_count != plan->input_count || args->output_count != plan->output_count || !args->inputs ||
        !args->outputs)
        return refuse(plan, "hconv_run: the numbers of inputs and outputs must be the plan's");
    if (!args->packed || (uintptr_t)args->packed % align)
        return refuse(plan, "hconv_run: packed is NULL or not 64-byte aligned (CUDA: 256)");
    header = (const hconv_blob_header *)args->packed;
    if (on_device(plan)) header = NULL; /* out of reach */
    if (header && (header->magic != HCONV_BLOB_MAGIC || header->hash != plan->kernel->hash || header->bytes != plan->packed_bytes))
        return refuse(plan, "hconv_run: packed was not made by hconv_pack for this plan's kernel");
    if (args->workspace && (args->workspace_bytes < workspace_bytes || (uintptr_t)args->workspace % align))
        return refuse(plan, "hconv_run: the workspace is smaller than workspace_bytes or not 64-byte aligned (CUDA: 256)");
    return check_tensors(plan, args);
}

/* Which of the call's pointers an argument is. */
static void *pointer_of(const hconv_plan *plan, const hconv_run_args *args, int a) {
    const hconv_bound_argument *b = &plan->arguments[a];
    switch (plan->kernel->arguments[a].role) {
    case HCONV_INPUT: return (void *)(uintptr_t)args->inputs[b->tensor];
    case HCONV_OUTPUT: return args->outputs[b->tensor - (plan->tensor_count - plan->output_count)];
    default: return (char *)(uintptr_t)args->packed + b->offset;
    }
}

int hconv_call_kernel(const hconv_plan *plan, const hconv_run_args *args, hconv_worker *root) {
    hconv_buffer buffers[HCONV_MAX_TENSORS];
    void *pointers[HCONV_MAX_TENSORS + 1];
    memset(buffers, 0, (size_t)plan->kernel->argument_count * sizeof *buffers);
    pointers[0] = &root;
    for (int a = 0; a < plan->kernel->argument_count; ++a) {
        if (!on_device(plan)) buffers[a].host = (uint8_t *)pointer_of(plan, args, a);
        else buffers[a].device = args ? (uint64_t)(uintptr_t)pointer_of(plan, args, a) : HCONV_DEVICE_ALIGN;
        buffers[a].type.code = 2; /* float */
        buffers[a].type.bits = 32;
        buffers[a].type.lanes = 1;
        buffers[a].dimensions = plan->arguments[a].rank;
        buffers[a].dim = (hconv_dimension *)(uintptr_t)plan->arguments[a].dim;
        pointers[a + 1] = &buffers[a];
    }
    return plan->kernel->call(pointers);
}

size_t hconv_workspace_bytes(const hconv_plan *plan) {
    if (on_device(plan)) return hconv_cuda_workspace(plan);
    return plan->root_bytes + (size_t)plan->context->options.num_threads * plan->slot_bytes;
}

hconv_status hconv_run(const hconv_plan *plan, const hconv_run_args *given) {
    const hconv_context *ctx;
    hconv_run_args known, *args = &known;
    hconv_run_record run;
    char *workspace, why[HCONV_WHY_BYTES];
    size_t workspace_bytes;
    hconv_status status;
    int failed;
    if (!plan || !given) return HCONV_INVALID_ARGUMENT;
    ctx = plan->context;
    if (hconv_struct_read(&args_struct, given, args, why, sizeof why)) return refuse(plan, why);
    workspace_bytes = hconv_workspace_bytes(plan);
    status = check_args(plan, args, workspace_bytes);
    if (status) return status;
    if (on_device(plan)) return hconv_cuda_run(plan, args);
    workspace = (char *)args->workspace;
    if (!workspace) workspace = (char *)hconv_context_alloc(ctx, workspace_bytes);
    if (!workspace) return HCONV_OUT_OF_MEMORY;
    run.plan = plan;
    run.slots = workspace + plan->root_bytes;
    run.worker_count = ctx->options.num_threads;
    run.error = HCONV_OK;
    run.device = NULL;
    hconv_worker_init((hconv_worker *)(void *)workspace, &run, workspace + HCONV_ALIGN, plan->root_bytes - HCONV_ALIGN);
    failed = hconv_call_kernel(plan, args, (hconv_worker *)(void *)workspace);
    if (!args->workspace) hconv_context_free(ctx, workspace);
    if (run.error) return (hconv_status)run.error;
    return failed ? HCONV_INTERNAL : HCONV_OK;
}
