/* fake_cuda_opencl.c - launches as OpenCL kernels: the schedules for CUDA, compiled by Halide for OpenCL, run on whatever
 * OpenCL device there is (PoCL: this CPU). Pointers are shared virtual memory, which on a CPU is all memory.
 * SPDX-License-Identifier: MIT */
#include "fake_cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_ALL = -1, INVALID_ARG_SIZE = -51, PROGRAM_BUILD_LOG = 0x1183, KERNEL_NUM_ARGS = 0x1191, ARG_ADDRESS = 0x1196, ARG_TYPE_NAME = 0x1198,
       ADDRESS_PRIVATE = 0x119E };

static struct opencl {
    int (*platforms)(unsigned, void **, unsigned *);
    int (*devices)(void *, uint64_t, unsigned, void **, unsigned *);
    void *(*create_context)(const intptr_t *, unsigned, void **, void *, void *, int *);
    void *(*create_queue)(void *, void *, uint64_t, int *);
    void *(*create_program)(void *, unsigned, const char **, const size_t *, int *);
    int (*build)(void *, unsigned, void **, const char *, void *, void *);
    int (*build_info)(void *, void *, unsigned, size_t, void *, size_t *);
    int (*release_program)(void *);
    void *(*create_kernel)(void *, const char *, int *);
    int (*release_kernel)(void *);
    int (*kernel_info)(void *, unsigned, size_t, void *, size_t *);
    int (*arg_info)(void *, unsigned, unsigned, size_t, void *, size_t *);
    int (*set_arg)(void *, unsigned, size_t, const void *);
    int (*set_pointer)(void *, unsigned, const void *);
    int (*enqueue)(void *, void *, unsigned, const size_t *, const size_t *, const size_t *, unsigned, void *, void *);
    int (*finish)(void *);
} cl;
static const char *const names[] = {
    "clGetPlatformIDs", "clGetDeviceIDs", "clCreateContext", "clCreateCommandQueue", "clCreateProgramWithSource",
    "clBuildProgram", "clGetProgramBuildInfo", "clReleaseProgram", "clCreateKernel", "clReleaseKernel", "clGetKernelInfo",
    "clGetKernelArgInfo", "clSetKernelArg", "clSetKernelArgSVMPointer", "clEnqueueNDRangeKernel", "clFinish"};
static void *device, *context, *queue;

struct fake_opencl_module { void *program; int count; void *kernels[128]; };

static int start(void) {
    void *platform, *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    unsigned count;
    int wrong;
    if (queue) return 1;
    for (size_t i = 0; library && i < sizeof names / sizeof *names; ++i) {
        void *found = dlsym(library, names[i]);
        if (!found) return 0;
        memcpy((char *)&cl + i * sizeof found, &found, sizeof found);
    }
    if (!library || cl.platforms(1, &platform, &count) || !count) return 0;
    if (cl.devices(platform, 0xffffffff, 1, &device, &count) || !count) return 0;
    context = cl.create_context(NULL, 1, &device, NULL, NULL, &wrong);
    queue = context ? cl.create_queue(context, device, 0, &wrong) : NULL;
    return queue != NULL;
}

fake_opencl_module *fake_opencl_load(const char *source, char *log, size_t log_bytes) {
    fake_opencl_module *m;
    int wrong;
    if (!start()) {
        if (log_bytes) snprintf(log, log_bytes, "no OpenCL device here: install pocl-opencl-icd");
        return NULL;
    }
    m = (fake_opencl_module *)calloc(1, sizeof *m);
    m->program = cl.create_program(context, 1, &source, NULL, &wrong);
    if (m->program && !cl.build(m->program, 1, &device, "-cl-kernel-arg-info -DMAX_CONSTANT_BUFFER_SIZE=0 -DMAX_CONSTANT_ARGS=0", NULL, NULL))
        return m;
    if (m->program && log_bytes) cl.build_info(m->program, device, PROGRAM_BUILD_LOG, log_bytes - 1, log, NULL);
    return free(m), NULL;
}

void fake_opencl_unload(fake_opencl_module *m) {
    for (int i = 0; i < m->count; ++i) cl.release_kernel(m->kernels[i]);
    cl.release_program(m->program);
    free(m);
}

void *fake_opencl_function(fake_opencl_module *m, const char *name) {
    int wrong;
    void *kernel = m->count < 128 ? cl.create_kernel(m->program, name, &wrong) : NULL;
    if (kernel) m->kernels[m->count++] = kernel;
    return kernel;
}

/* Integers and floats have 4 bytes, conditions 1. */
static int set_number(void *kernel, unsigned i, const void *value) {
    const int wrong = cl.set_arg(kernel, i, 4, value);
    return wrong == INVALID_ARG_SIZE ? cl.set_arg(kernel, i, 1, value) : wrong;
}

/* Halide's last argument is the shared memory. */
int fake_opencl_launch(void *kernel, const unsigned *grid, const unsigned *block, unsigned shared, void **arguments) {
    unsigned count = 0, address;
    size_t global[3], local[3];
    int wrong = cl.kernel_info(kernel, KERNEL_NUM_ARGS, sizeof count, &count, NULL);
    for (unsigned i = 0; i + 1 < count && !wrong; ++i) {
        wrong = cl.arg_info(kernel, i, ARG_ADDRESS, sizeof address, &address, NULL);
        if (address == ADDRESS_PRIVATE) wrong |= set_number(kernel, i, arguments[i]);
        else wrong |= cl.set_pointer(kernel, i, *(void **)arguments[i]);
    }
    wrong |= cl.set_arg(kernel, count - 1, shared ? shared : 1, NULL);
    for (int i = 0; i < 3; ++i) local[i] = block[i], global[i] = (size_t)grid[i] * block[i];
    if (!wrong) wrong = cl.enqueue(queue, kernel, 3, NULL, global, local, 0, NULL, NULL);
    if (!wrong) wrong = cl.finish(queue);
    if (wrong) fprintf(stderr, "fake_cuda: OpenCL says %d\n", wrong);
    return wrong ? 719 : 0;
}
