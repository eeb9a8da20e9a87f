/* fake_cuda.h - a libcuda.so.1 without a GPU: it keeps contexts, streams, modules and memory apart as the driver does,
 * counts, and fails where it is told to.
 * SPDX-License-Identifier: MIT
 * Device memory is host memory between inaccessible pages. What a launch does depends on the module's image: text that
 * begins with "FAKE" calls functions given to fake_cuda_function, OpenCL C runs through libOpenCL, PTX does nothing. */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*fake_cuda_kernel)(void **arguments, const unsigned *grid, const unsigned *block, unsigned shared);

typedef struct fake_cuda {
    int calls;              /* of the driver, so far */
    int fail_at, fail_with; /* that call, from 1, fails; 0 = none */
    char failed[48];        /* the function that did */
    int devices, capability, pools, most_threads, shared, retains, modules_refused; /* what the machine is like */
    int primaries, contexts, modules, streams, graphs, allocations, depth; /* how many there are now */
    int loads, launches, memory_calls, waits; /* how often, so far */
    void *launch_stream, *launch_context;
    unsigned launch_grid[3], launch_block[3], launch_shared;
    char image[16]; /* how the module loaded last begins */
} fake_cuda;

fake_cuda *fake_cuda_state(void);
void fake_cuda_reset(void); /* counts 0; one device of capability 9.0 */
void fake_cuda_function(const char *name, fake_cuda_kernel kernel);

/* fake_cuda_opencl.c */
typedef struct fake_opencl_module fake_opencl_module;
fake_opencl_module *fake_opencl_load(const char *source, char *log, size_t log_bytes);
void fake_opencl_unload(fake_opencl_module *module);
void *fake_opencl_function(fake_opencl_module *module, const char *name);
int fake_opencl_launch(void *function, const unsigned *grid, const unsigned *block, unsigned shared, void **arguments);

#ifdef __cplusplus
}
#endif
#endif
