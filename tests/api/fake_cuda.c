/* fake_cuda.c - see fake_cuda.h.
 * SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "fake_cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_PTX = 218,
       INVALID_HANDLE = 400, NOT_FOUND = 500 };

typedef struct context { int primary; } context;
typedef struct stream { context *owner; int capturing, runs; void **log; } stream;
typedef struct module { struct module *next; context *owner; int kind; fake_opencl_module *opencl; struct function *functions; } module;
typedef struct function { module *owner; struct function *next; char name[200]; fake_cuda_kernel kernel; void *opencl; } function;
typedef struct allocation { struct allocation *next; context *owner; unsigned char *map, *data; size_t map_bytes, bytes; } allocation;
typedef struct given { struct given *next; char name[200]; fake_cuda_kernel kernel; } given;

static pthread_mutex_t book = PTHREAD_MUTEX_INITIALIZER; /* what several threads may do at once is written down in turn */
static fake_cuda state;
static context primary = {1};
static allocation *allocations;
static module *modules; /* those that could not be unloaded among them: a leak would be the application's */
static given *kernels;
static __thread context *stack[16];
static __thread int depth;

fake_cuda *fake_cuda_state(void) { return &state; }
void fake_cuda_reset(void) {
    memset(&state, 0, sizeof state);
    state.devices = 1, state.capability = 90, state.pools = 1, state.most_threads = 1024, state.shared = 232448;
}
__attribute__((constructor)) static void start(void) { fake_cuda_reset(); }

void fake_cuda_function(const char *name, fake_cuda_kernel kernel) {
    given *g = (given *)calloc(1, sizeof *g);
    snprintf(g->name, sizeof g->name, "%s", name);
    g->kernel = kernel, g->next = kernels, kernels = g;
}

/* Counts the call; is it the one that fails? */
static int fails(const char *name) {
    if (__atomic_add_fetch(&state.calls, 1, __ATOMIC_RELAXED) != state.fail_at) return 0;
    snprintf(state.failed, sizeof state.failed, "%s", name);
    return state.fail_with;
}
#define ENTER do { int wrong = fails(__func__); if (wrong) return wrong; } while (0)
static context *current(void) { return depth ? stack[depth - 1] : NULL; }

int cuInit(unsigned flags) { ENTER; return flags ? INVALID_VALUE : state.devices ? 0 : NO_DEVICE; }
int cuDeviceGetCount(int *count) { ENTER; return *count = state.devices, 0; }
int cuDeviceGet(int *device, int ordinal) { ENTER; return ordinal < state.devices ? *device = ordinal, 0 : NO_DEVICE; }
int cuDeviceGetName(char *name, int bytes, int device) { ENTER; return (void)device, snprintf(name, (size_t)bytes, "no GPU"), 0; }
int cuDriverGetVersion(int *version) { ENTER; return *version = 13000, 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    ENTER;
    (void)device;
    *value = attribute == 75 ? state.capability / 10 : attribute == 76 ? state.capability % 10 : attribute == 97 ? state.shared
             : attribute == 115 ? state.pools : 0;
    return 0;
}
int cuGetErrorName(int result, const char **name) {
    if (result == 999999) return INVALID_VALUE;
    *name = result == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : result == INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT" : "CUDA_ERROR_FAKE";
    return 0;
}

int cuDevicePrimaryCtxRetain(void **to, int device) { ENTER; return (void)device, ++state.primaries, *to = &primary, 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { ENTER; return (void)device, --state.primaries, 0; }
int cuCtxCreate_v2(void **to, unsigned flags, int device) {
    ENTER;
    (void)flags, (void)device;
    ++state.contexts;
    return stack[depth++] = (context *)(*to = calloc(1, sizeof(context))), 0;
}
int cuCtxDestroy_v2(void *c) {
    ENTER;
    if (current() == c) --depth;
    return --state.contexts, free(c), 0;
}
int cuCtxPushCurrent_v2(void *c) {
    ENTER;
    if (!c || depth == 16) return INVALID_CONTEXT;
    __atomic_add_fetch(&state.depth, 1, __ATOMIC_RELAXED);
    return stack[depth++] = (context *)c, 0;
}
int cuCtxPopCurrent_v2(void **to) {
    int wrong = fails(__func__);
    if (!depth) return INVALID_CONTEXT;
    __atomic_sub_fetch(&state.depth, 1, __ATOMIC_RELAXED);
    *to = stack[--depth];
    return wrong;
}
int cuCtxGetDevice(int *device) { ENTER; return current() ? *device = 0, 0 : INVALID_CONTEXT; }
int cuCtxSynchronize(void) { ENTER; return ++state.waits, 0; }

int cuStreamCreate(void **to, unsigned flags) {
    ENTER;
    stream *s = (stream *)calloc(1, sizeof *s);
    (void)flags, s->owner = current(), ++state.streams;
    return *to = s, 0;
}
int cuStreamDestroy_v2(void *s) { ENTER; return --state.streams, free(s), 0; }
int cuStreamSynchronize(void *s) { ENTER; return (void)s, ++state.waits, 0; }
static int stream_fits(const stream *s) { return !s || (size_t)s < 3 || s->owner == current(); }

/* A graph remembers nothing: launches under capture run at once. */
int cuStreamBeginCapture_v2(void *s, int mode) { ENTER; return (void)mode, ((stream *)s)->capturing = 1, 0; }
int cuStreamEndCapture(void *s, void **graph) { ENTER; return ((stream *)s)->capturing = 0, ++state.graphs, *graph = s, 0; }
int cuGraphInstantiateWithFlags(void **out, void *graph, unsigned long long flags) { ENTER; return (void)flags, ++state.graphs, *out = graph, 0; }
int cuGraphLaunch(void *graph, void *s) { ENTER; return graph && s ? 0 : INVALID_VALUE; }
int cuGraphDestroy(void *graph) { ENTER; return (void)graph, --state.graphs, 0; }
int cuGraphExecDestroy(void *graph) { ENTER; return (void)graph, --state.graphs, 0; }

int cuModuleLoadDataEx(void **to, const void *image, unsigned count, int *options, void **values) {
    ENTER;
    const char *text = (const char *)image;
    module *m = (module *)calloc(1, sizeof *m);
    size_t log_bytes = 0;
    char *log = NULL;
    for (unsigned i = 0; i < count; ++i) {
        if (options[i] == 5) log = (char *)values[i];
        if (options[i] == 6) log_bytes = (size_t)values[i];
    }
    snprintf(state.image, sizeof state.image, "%.15s", text);
    m->owner = current();
    m->kind = !strncmp(text, "FAKE", 4) ? 'f' : !strncmp(text, "CUBIN", 5) ? 'c' : strstr(text, ".version") ? 'p' : 'o';
    if (m->kind == 'o') m->opencl = fake_opencl_load(text, log, log_bytes);
    if (!m->owner || (m->kind == 'o' && !m->opencl) || (m->kind == 'c' && state.modules_refused)) {
        int wrong = !m->owner ? INVALID_CONTEXT : m->kind == 'c' ? INVALID_IMAGE : INVALID_PTX;
        if (log_bytes && !log[0]) snprintf(log, log_bytes, "no such code");
        return free(m), wrong;
    }
    ++state.loads, ++state.modules;
    m->next = modules, modules = m;
    return *to = m, 0;
}
int cuModuleUnload(void *given_module) {
    ENTER;
    module *m = (module *)given_module;
    for (function *f = m->functions; f;) {
        function *next = f->next;
        free(f), f = next;
    }
    if (m->opencl) fake_opencl_unload(m->opencl);
    module **at = &modules;
    while (*at != m) at = &(*at)->next;
    *at = m->next;
    return --state.modules, free(m), 0;
}
int cuModuleGetFunction(void **to, void *given_module, const char *name) {
    ENTER;
    module *m = (module *)given_module;
    function *f = (function *)calloc(1, sizeof *f);
    f->owner = m, f->next = m->functions, m->functions = f;
    snprintf(f->name, sizeof f->name, "%s", name);
    for (const given *g = kernels; g && !f->kernel; g = g->next)
        if (!strcmp(g->name, name)) f->kernel = g->kernel;
    if (m->kind == 'o') f->opencl = fake_opencl_function(m->opencl, name);
    if ((m->kind == 'o' && !f->opencl) || ((m->kind == 'f' || m->kind == 'c') && !f->kernel)) return NOT_FOUND;
    return *to = f, 0;
}
int cuFuncGetAttribute(int *value, int attribute, void *f) { ENTER; return (void)f, *value = attribute == 0 ? state.most_threads : 0, 0; }
int cuFuncSetAttribute(void *f, int attribute, int value) { ENTER; return f && attribute == 8 && value > 49152 ? 0 : INVALID_VALUE; }

int cuLaunchKernel(void *given_function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *s, void **arguments, void **extra) {
    ENTER;
    const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    function *f = (function *)given_function;
    const char *log = getenv("FAKE_CUDA_LOG");
    if (extra) return INVALID_VALUE;
    if (!current() || f->owner->owner != current()) return INVALID_CONTEXT;
    if (!stream_fits((stream *)s)) return INVALID_HANDLE;
    pthread_mutex_lock(&book);
    ++state.launches;
    state.launch_stream = s, state.launch_context = current(), state.launch_shared = shared;
    memcpy(state.launch_grid, grid, sizeof grid), memcpy(state.launch_block, block, sizeof block);
    pthread_mutex_unlock(&book);
    if (log) {
        FILE *to = fopen(log, "a");
        if (to) fprintf(to, "%s %u %u %u %u %u %u %u\n", f->name, gx, gy, gz, bx, by, bz, shared), fclose(to);
    }
    if (f->kernel) f->kernel(arguments, grid, block, shared);
    return f->opencl ? fake_opencl_launch(f->opencl, grid, block, shared, arguments) : 0;
}

/* The end lies before the page that ends the process, if the size is a multiple of 256 as the address is. */
static int allocate(uint64_t *to, size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + 255) / 256 * 256, pages = (room + page - 1) / page * page;
    allocation *a = (allocation *)calloc(1, sizeof *a);
    if (!bytes) return free(a), INVALID_VALUE;
    a->map_bytes = pages + 2 * page, a->bytes = bytes, a->owner = current();
    a->map = (unsigned char *)mmap(NULL, a->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a->map == MAP_FAILED) return free(a), OUT_OF_MEMORY;
    mprotect(a->map + page, pages, PROT_READ | PROT_WRITE);
    a->data = a->map + page + pages - room;
    pthread_mutex_lock(&book);
    a->next = allocations, allocations = a;
    ++state.allocations, ++state.memory_calls;
    pthread_mutex_unlock(&book);
    return *to = (uint64_t)(uintptr_t)a->data, 0;
}
static int release_one(uint64_t pointer) {
    ++state.memory_calls;
    for (allocation **a = &allocations; *a; a = &(*a)->next) {
        allocation *found = *a;
        if ((uint64_t)(uintptr_t)found->data != pointer) continue;
        if (found->owner != current()) return INVALID_CONTEXT;
        *a = found->next;
        munmap(found->map, found->map_bytes);
        return free(found), --state.allocations, 0;
    }
    return INVALID_VALUE;
}
static int release(uint64_t pointer) {
    pthread_mutex_lock(&book);
    int wrong = release_one(pointer);
    pthread_mutex_unlock(&book);
    return wrong;
}
int cuMemAlloc_v2(uint64_t *to, size_t bytes) { ENTER; return current() ? allocate(to, bytes) : INVALID_CONTEXT; }
int cuMemFree_v2(uint64_t pointer) { ENTER; return release(pointer); }
int cuMemAllocAsync(uint64_t *to, size_t bytes, void *s) { ENTER; return stream_fits((stream *)s) ? allocate(to, bytes) : INVALID_HANDLE; }
int cuMemFreeAsync(uint64_t pointer, void *s) { ENTER; return stream_fits((stream *)s) ? release(pointer) : INVALID_HANDLE; }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) { ENTER; return memcpy((void *)(uintptr_t)to, from, bytes), 0; }
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) { ENTER; return memcpy(to, (const void *)(uintptr_t)from, bytes), 0; }
int cuMemsetD32_v2(uint64_t to, unsigned value, size_t count) {
    ENTER;
    for (size_t i = 0; i < count; ++i) ((unsigned *)(uintptr_t)to)[i] = value;
    return 0;
}
int cuEventCreate(void **to, unsigned flags) { ENTER; return (void)flags, *to = calloc(1, sizeof(struct timespec)), 0; }
int cuEventDestroy_v2(void *event) { ENTER; return free(event), 0; }
int cuEventRecord(void *event, void *s) { ENTER; return (void)s, clock_gettime(CLOCK_MONOTONIC, (struct timespec *)event), 0; }
int cuEventSynchronize(void *event) { ENTER; return (void)event, 0; }
int cuEventElapsedTime(float *ms, void *from, void *to) {
    ENTER;
    const struct timespec *a = (const struct timespec *)from, *b = (const struct timespec *)to;
    return *ms = (float)(b->tv_sec - a->tv_sec) * 1e3f + (float)(b->tv_nsec - a->tv_nsec) * 1e-6f, 0;
}
