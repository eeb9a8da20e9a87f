/* main.c - a convolution on the GPU from plain C: the driver is found at run time, so neither CUDA's headers nor its libraries are
 * needed. hconv packs on the host; the blob, inputs and outputs are device memory; the run is queued on a stream.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "mynet.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct driver {
    int (*init)(unsigned);
    int (*device)(int *, int);
    int (*retain)(void **, int);
    int (*current)(void *);
    int (*stream)(void **, unsigned);
    int (*wait)(void *);
    int (*alloc)(uint64_t *, size_t);
    int (*to_device)(uint64_t, const void *, size_t);
    int (*to_host)(void *, uint64_t, size_t);
} cu;

static int load_driver(void) {
    static const char *const names[] = {"cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuStreamCreate",
                                        "cuStreamSynchronize", "cuMemAlloc_v2", "cuMemcpyHtoD_v2", "cuMemcpyDtoH_v2"};
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    for (size_t i = 0; library && i < sizeof names / sizeof *names; ++i) {
        void *found = dlsym(library, names[i]);
        if (!found) return 0;
        memcpy((char *)&cu + i * sizeof found, &found, sizeof found);
    }
    return library != NULL;
}

static void must(int failed, const char *what) {
    if (!failed) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

int main(void) {
    char why[HCONV_WHY_BYTES] = "";
    void *context = NULL, *stream = NULL;
    int device = 0, count = 0;
    hconv_problem problem;
    hconv_context *ctx;
    hconv_plan *plan;
    hconv_plan_info info = {sizeof info};
    hconv_context_options options = {sizeof options};
    hconv_parameter parameters[32];
    hconv_run_args run = {sizeof run};
    const void *inputs[4];
    void *outputs[2], *packed;
    uint64_t memory;
    float y[4];

    must(!load_driver() || cu.init(0) || cu.device(&device, 0) || cu.retain(&context, device) || cu.current(context) ||
             cu.stream(&stream, 1), "no GPU with a CUDA driver here");
    options.cuda_context = context; /* this one, and CUDA kernels before those of the CPU */
    must(hconv_problem_parse("conv2d_ci64_h56_co64_k3_p1_relu", &problem, why, sizeof why) ||
             hconv_context_create(&options, &ctx, why, sizeof why) || hconv_context_add_library(ctx, &hconv_library_mynet) ||
             hconv_plan_create(ctx, &problem, &plan, why, sizeof why) || hconv_plan_describe(plan, &info), why);
    for (int i = 0; i < info.tensor_count; ++i) {
        hconv_tensor_info t = {sizeof t};
        float *data;
        hconv_plan_tensor(plan, i, &t);
        data = (float *)malloc(t.bytes);
        for (size_t k = 0; k < t.bytes / 4; ++k) data[k] = 0.01f * (float)(k % 100 + 1); /* your data here */
        if (t.role == HCONV_PARAMETER) {
            parameters[count].name = t.name, parameters[count].data = data, parameters[count++].bytes = t.bytes;
            continue;
        }
        must(cu.alloc(&memory, t.bytes) || cu.to_device(memory, data, t.bytes), "no device memory");
        if (t.role == HCONV_INPUT) inputs[run.input_count++] = (void *)(uintptr_t)memory;
        else outputs[run.output_count++] = (void *)(uintptr_t)memory;
        free(data);
    }
    /* Packed here, copied there: once for as many runs as are wanted. */
    must(posix_memalign(&packed, 64, info.packed_bytes), "no memory");
    must(hconv_pack(plan, parameters, count, packed, info.packed_bytes, why, sizeof why), why);
    must(cu.alloc(&memory, info.packed_bytes) || cu.to_device(memory, packed, info.packed_bytes), "no device memory");
    run.packed = (void *)(uintptr_t)memory;
    if (info.workspace_bytes) {
        must(cu.alloc(&memory, info.workspace_bytes), "no device memory");
        run.workspace = (void *)(uintptr_t)memory, run.workspace_bytes = info.workspace_bytes;
    }
    run.inputs = inputs, run.outputs = outputs, run.stream = stream;
    must(hconv_run(plan, &run), "hconv_run failed"); /* queued */
    must(cu.wait(stream) || cu.to_host(y, (uint64_t)(uintptr_t)outputs[0], sizeof y), "the kernel failed");
    printf("%s on %s: y[0] = %g\n", info.problem, info.target, (double)y[0]);
    hconv_plan_destroy(plan);
    hconv_context_destroy(ctx);
    return 0;
}
