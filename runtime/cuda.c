/* cuda.c - runs CUDA kernels over libcuda, which is looked for when a library with CUDA rows is added: an application
 * links without CUDA, and where there is no GPU its plans say so.
 * SPDX-License-Identifier: MIT
 * A plan loads its module once. To do so it calls the kernel without a GPU in sight: every launch it would make is looked up
 * and compared with the device's limits, and its scratch memory is measured. A run then only launches: on the caller's
 * stream, in the caller's context, with scratch memory at offsets of the workspace; it waits for nothing. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

int hconv1_cuda_initialize_kernels(void *user_context, void **state, const char *source, int bytes);
void hconv1_cuda_finalize_kernels(void *user_context, void *state);
int hconv1_cuda_run(void *user_context, void *state, const char *entry, int bx, int by, int bz, int tx, int ty, int tz,
                    int shared, size_t *sizes, void **args, int8_t *is_buffer);
const void *hconv1_cuda_device_interface(void);
int hconv1_copy_to_device(void *user_context, hconv_buffer *buffer, const void *interface);
int hconv1_copy_to_host(void *user_context, hconv_buffer *buffer);
int hconv1_device_malloc(void *user_context, hconv_buffer *buffer, const void *interface);
int hconv1_device_free(void *user_context, hconv_buffer *buffer);
void hconv1_device_free_as_destructor(void *user_context, void *buffer);

#if defined(__linux__)
#include <dlfcn.h>
/* In a program without libdl, or a static one, there is no driver to be found. */
#pragma weak dlopen
#pragma weak dlsym
#pragma weak dlclose
static void *open_driver(void) { return dlopen && dlsym ? dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) : NULL; }
static int can_open(void) { return dlopen && dlsym; }
static void close_driver(void *library) { if (dlclose) dlclose(library); }
static void *find_function(void *library, const char *name) { return dlsym(library, name); }
#else
static void *open_driver(void) { return NULL; }
static int can_open(void) { return 0; }
static void close_driver(void *library) { (void)library; }
static void *find_function(void *library, const char *name) { (void)library, (void)name; return NULL; }
#endif

enum { /* of cuda.h */
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    SHARED_OPTIN = 97,
    CAPABILITY_MAJOR = 75,
    CAPABILITY_MINOR = 76,
    MEMORY_POOLS = 115,
    FUNCTION_THREADS = 0,
    FUNCTION_SHARED = 8,
    ERROR_LOG = 5,
    ERROR_LOG_BYTES = 6
};

#define MOST_FUNCTIONS 96
#define MOST_BLOCKS 96
#define MOST_ARGUMENTS 64
#define PLAIN_SHARED 49152 /* what every launch may ask for */

typedef struct driver {
    int (*init)(unsigned flags);
    int (*device_get)(int *device, int ordinal);
    int (*device_attribute)(int *value, int attribute, int device);
    int (*primary_retain)(void **context, int device);
    int (*primary_release)(int device);
    int (*push)(void *context);
    int (*pop)(void **context);
    int (*device_of_context)(int *device);
    int (*module_load)(void **module, const void *image, unsigned count, int *options, void **values);
    int (*module_unload)(void *module);
    int (*get_function)(void **function, void *module, const char *name);
    int (*function_attribute)(int *value, int attribute, void *function);
    int (*set_function_attribute)(void *function, int attribute, int value);
    int (*launch)(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                  unsigned shared, void *stream, void **arguments, void **extra);
    int (*error_name)(int result, const char **name);
    int (*alloc_async)(uint64_t *pointer, size_t bytes, void *stream);
    int (*free_async)(uint64_t pointer, void *stream);
} driver;

static const char *const driver_names[] = {
    "cuInit", "cuDeviceGet", "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2",
    "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuCtxGetDevice", "cuModuleLoadDataEx", "cuModuleUnload",
    "cuModuleGetFunction", "cuFuncGetAttribute", "cuFuncSetAttribute", "cuLaunchKernel", "cuGetErrorName",
    "cuMemAllocAsync", "cuMemFreeAsync"}; /* in the struct's order; the last two may be missing */
enum { FUNCTIONS = sizeof driver_names / sizeof *driver_names, NEEDED = FUNCTIONS - 2 };
typedef char driver_is_functions[sizeof(driver) == FUNCTIONS * sizeof(void *) ? 1 : -1];

struct hconv_device {
    void *library;
    driver d;
    void *context;
    int device, primary; /* primary: retained here */
    int capability, shared, pools;
};

typedef struct function {
    const char *name;
    void *handle;
    int shared;
} function;

struct hconv_device_kernel {
    void *module;
    size_t scratch;
    int count;
    function functions[MOST_FUNCTIONS];
};

typedef struct device_block {
    size_t start, end;
    int freed;
} device_block;

/* One call of the kernel: a run, or the one that loads. */
struct hconv_device_run {
    const hconv_device *device;
    hconv_device_kernel *kernel;
    const hconv_kernel *row;
    int loading;
    void *stream;
    uint64_t scratch;
    size_t peak;
    int block_count;
    device_block blocks[MOST_BLOCKS];
    char *why;
};

/* ---- the device of a context */

static hconv_status fault(const hconv_device *v, int result, const char *call, char *why, size_t why_bytes) {
    const char *name = NULL;
    if (v->d.error_name(result, &name) || !name) name = "an unknown error";
    hconv_sentence(why, why_bytes, "the CUDA driver: %s says %s (%d)", call, name, result);
    return result == OUT_OF_MEMORY ? HCONV_OUT_OF_MEMORY : HCONV_DEVICE_ERROR;
}

static int load_driver(hconv_device *v, char *why, size_t why_bytes) {
    v->library = open_driver();
    if (!v->library) {
        hconv_sentence(why, why_bytes, can_open() ? "there is no CUDA driver here (libcuda.so.1)"
                                                  : "this program cannot look for a CUDA driver: link it dynamically, with -ldl");
        return 0;
    }
    for (int i = 0; i < FUNCTIONS; ++i) {
        void *found = find_function(v->library, driver_names[i]);
        if (!found && i < NEEDED) {
            hconv_sentence(why, why_bytes, "the CUDA driver is too old: it has no %s", driver_names[i]);
            return 0;
        }
        memcpy((char *)&v->d + (size_t)i * sizeof found, &found, sizeof found);
    }
    return 1;
}

static hconv_status find_device(hconv_device *v, void *given, char *why, size_t why_bytes) {
    void *ignored;
    int result = v->d.init(0), major = 0, minor = 0;
    const char *call = "cuInit";
    if (!result && given) {
        call = "cuCtxPushCurrent of the context in cuda_context", result = v->d.push(given);
        if (!result) {
            call = "cuCtxGetDevice", result = v->d.device_of_context(&v->device);
            v->d.pop(&ignored);
        }
        v->context = given;
    } else if (!result) {
        call = "cuDeviceGet", result = v->d.device_get(&v->device, 0);
        if (!result) call = "cuDevicePrimaryCtxRetain", result = v->d.primary_retain(&v->context, v->device);
        v->primary = !result;
    }
    if (!result) {
        call = "cuDeviceGetAttribute";
        result = v->d.device_attribute(&major, CAPABILITY_MAJOR, v->device);
        if (!result) result = v->d.device_attribute(&minor, CAPABILITY_MINOR, v->device);
        if (!result) result = v->d.device_attribute(&v->shared, SHARED_OPTIN, v->device);
        if (v->d.device_attribute(&v->pools, MEMORY_POOLS, v->device)) v->pools = 0;
        if (!v->d.alloc_async || !v->d.free_async) v->pools = 0;
    }
    v->capability = 10 * major + minor;
    if (!result) return HCONV_OK;
    if (result == NO_DEVICE) {
        hconv_sentence(why, why_bytes, "the CUDA driver finds no GPU");
        return HCONV_UNSUPPORTED;
    }
    fault(v, result, call, why, why_bytes);
    return HCONV_DEVICE_ERROR;
}

hconv_status hconv_cuda_open(const hconv_context *ctx, hconv_device **out, char *why, size_t why_bytes) {
    hconv_device *v = (hconv_device *)hconv_context_alloc(ctx, sizeof *v);
    hconv_status status = HCONV_UNSUPPORTED;
    if (!v) return HCONV_OUT_OF_MEMORY;
    memset(v, 0, sizeof *v);
    if (load_driver(v, why, why_bytes)) status = find_device(v, ctx->options.cuda_context, why, why_bytes);
    if (status) hconv_cuda_close(ctx, v);
    else *out = v;
    return status;
}

void hconv_cuda_close(const hconv_context *ctx, hconv_device *v) {
    if (!v) return;
    if (v->primary) v->d.primary_release(v->device);
    if (v->library) close_driver(v->library);
    hconv_context_free(ctx, v);
}

int hconv_cuda_can_run(const hconv_device *v, const hconv_kernel *k, char *why, size_t why_bytes) {
    const char *feature = strstr(k->target, "cuda_capability_");
    int needed = feature ? (int)strtol(feature + strlen("cuda_capability_"), NULL, 10) : 0;
    if (v->capability >= needed) return 1;
    hconv_sentence(why, why_bytes, "the GPU has compute capability %d.%d, below %d.%d", v->capability / 10, v->capability % 10,
                   needed / 10, needed % 10);
    return 0;
}

/* ---- what a kernel calls */

static struct hconv_device_run *run_of(void *user_context) { return ((hconv_worker *)user_context)->run->device; }
static int failed(void *user_context) { return ((hconv_worker *)user_context)->run->error; }

static int fail(void *user_context, hconv_status status) {
    hconv_run_fail(((hconv_worker *)user_context)->run, status);
    return -1;
}

static int check(void *user_context, int result, const char *call) {
    struct hconv_device_run *r = run_of(user_context);
    return result ? fail(user_context, fault(r->device, result, call, r->why, HCONV_WHY_BYTES)) : 0;
}

/* Code for this very generation, else none: then the driver compiles the PTX. */
static const hconv_image *image_of(const hconv_kernel *row, int capability) {
    const hconv_image *best = NULL;
    for (int i = 0; i < row->image_count; ++i) {
        const hconv_image *image = &row->images[i];
        int has = (int)image->capability;
        if (has / 10 == capability / 10 && has <= capability && (!best || best->capability < image->capability)) best = image;
    }
    return best;
}

int hconv1_cuda_initialize_kernels(void *user_context, void **state, const char *source, int bytes) {
    struct hconv_device_run *r = run_of(user_context);
    char log[256] = "";
    int options[2] = {ERROR_LOG, ERROR_LOG_BYTES}, result = -1;
    void *values[2];
    const hconv_image *image;
    (void)state, (void)bytes;
    if (!r->loading || failed(user_context) || r->kernel->module) return 0;
    values[0] = log, values[1] = (void *)(uintptr_t)sizeof log;
    image = image_of(r->row, r->device->capability);
    if (image) result = r->device->d.module_load(&r->kernel->module, image->data, 2, options, values);
    if (result) result = r->device->d.module_load(&r->kernel->module, source, 2, options, values);
    if (!result) return 0;
    r->kernel->module = NULL;
    check(user_context, result, "cuModuleLoadDataEx");
    if (log[0]) {
        log[sizeof log - 1] = 0;
        hconv_sentence(r->why + strlen(r->why), HCONV_WHY_BYTES - strlen(r->why), ": %s", log);
    }
    return -1;
}

void hconv1_cuda_finalize_kernels(void *user_context, void *state) { (void)user_context, (void)state; }

static function *find(hconv_device_kernel *k, const char *name) {
    for (int i = 0; i < k->count; ++i)
        if (k->functions[i].name == name || !strcmp(k->functions[i].name, name)) return &k->functions[i];
    return NULL;
}

/* The first sight of a launch: is it within what the device can do? */
static int within_limits(struct hconv_device_run *r, const function *f, const int *grid, const int *block, int shared) {
    static const int most_grid[3] = {2147483647, 65535, 65535};
    int most_threads = 0, threads = block[0] * block[1] * block[2];
    if (r->device->d.function_attribute(&most_threads, FUNCTION_THREADS, f->handle)) most_threads = 1024;
    for (int i = 0; i < 3; ++i) {
        if (grid[i] <= most_grid[i]) continue;
        hconv_sentence(r->why, HCONV_WHY_BYTES, "%s would need %d blocks along axis %d of its grid", f->name, grid[i], i);
        return 0;
    }
    if (threads > most_threads)
        hconv_sentence(r->why, HCONV_WHY_BYTES, "%s has %d threads a block, of %d on this GPU", f->name, threads, most_threads);
    else if (shared > r->device->shared)
        hconv_sentence(r->why, HCONV_WHY_BYTES, "%s needs %d bytes of shared memory, of %d on this GPU", f->name, shared,
                       r->device->shared);
    else return 1;
    return 0;
}

static int first_sight(void *user_context, const char *entry, const int *grid, const int *block, int shared) {
    struct hconv_device_run *r = run_of(user_context);
    hconv_device_kernel *k = r->kernel;
    function *f = find(k, entry);
    if (!f) {
        if (k->count == MOST_FUNCTIONS) {
            hconv_sentence(r->why, HCONV_WHY_BYTES, "the kernel launches more than %d functions", MOST_FUNCTIONS);
            return fail(user_context, HCONV_INTERNAL);
        }
        f = &k->functions[k->count];
        if (check(user_context, r->device->d.get_function(&f->handle, k->module, entry), "cuModuleGetFunction")) return -1;
        f->name = entry, ++k->count;
    }
    if (!within_limits(r, f, grid, block, shared)) return fail(user_context, HCONV_UNSUPPORTED);
    if (shared <= f->shared || shared <= PLAIN_SHARED) return 0;
    f->shared = shared;
    return check(user_context, r->device->d.set_function_attribute(f->handle, FUNCTION_SHARED, shared), "cuFuncSetAttribute");
}

int hconv1_cuda_run(void *user_context, void *state, const char *entry, int bx, int by, int bz, int tx, int ty, int tz,
                    int shared, size_t *sizes, void **args, int8_t *is_buffer) {
    struct hconv_device_run *r = run_of(user_context);
    int grid[3], block[3], count = 0;
    void *arguments[MOST_ARGUMENTS];
    function *f;
    (void)state;
    if (failed(user_context)) return -1;
    grid[0] = bx, grid[1] = by, grid[2] = bz, block[0] = tx, block[1] = ty, block[2] = tz;
    if (bx < 1 || by < 1 || bz < 1) return 0;
    if (r->loading) return first_sight(user_context, entry, grid, block, shared);
    f = find(r->kernel, entry);
    for (; count < MOST_ARGUMENTS && sizes[count]; ++count)
        arguments[count] = is_buffer[count] ? (void *)&((hconv_buffer *)args[count])->device : args[count];
    if (!f || sizes[count]) {
        hconv_sentence(r->why, HCONV_WHY_BYTES, "%s was not among the functions found at plan creation", entry);
        return fail(user_context, HCONV_INTERNAL);
    }
    return check(user_context, r->device->d.launch(f->handle, (unsigned)bx, (unsigned)by, (unsigned)bz, (unsigned)tx,
                                                   (unsigned)ty, (unsigned)tz, (unsigned)shared, r->stream, arguments, NULL),
                 "cuLaunchKernel");
}

const void *hconv1_cuda_device_interface(void) {
    static const char nothing = 0; /* kernels only hand it back */
    return &nothing;
}

/* Everything is on the device from the start. */
int hconv1_copy_to_device(void *user_context, hconv_buffer *buffer, const void *interface) {
    (void)interface;
    return buffer->device ? 0 : fail(user_context, HCONV_INTERNAL);
}
int hconv1_copy_to_host(void *user_context, hconv_buffer *buffer) { return (void)buffer, fail(user_context, HCONV_INTERNAL); }

static size_t buffer_bytes(const hconv_buffer *b) {
    size_t last = 0;
    for (int i = 0; i < b->dimensions; ++i) {
        if (b->dim[i].extent < 1) return 0;
        last += (size_t)(b->dim[i].extent - 1) * (size_t)b->dim[i].stride;
    }
    return (last + 1) * (((size_t)b->type.bits + 7) / 8);
}

/* Scratch memory is a stack, as hooks.c has it, with its bookkeeping here. A block may be reused as soon as it is freed:
 * what the launches before do with it is done first, in the stream's order. */
int hconv1_device_malloc(void *user_context, hconv_buffer *buffer, const void *interface) {
    struct hconv_device_run *r = run_of(user_context);
    device_block *b = &r->blocks[r->block_count];
    if (buffer->device) return 0;
    if (r->block_count == MOST_BLOCKS) return fail(user_context, HCONV_INTERNAL);
    b->start = r->block_count ? b[-1].end : 0;
    b->end = b->start + hconv_device_align_up(buffer_bytes(buffer));
    if (!r->loading && b->end > r->kernel->scratch) return fail(user_context, HCONV_INTERNAL);
    b->freed = 0;
    ++r->block_count;
    if (b->end > r->peak) r->peak = b->end;
    buffer->device = r->scratch + b->start;
    buffer->device_interface = interface;
    return 0;
}

int hconv1_device_free(void *user_context, hconv_buffer *buffer) {
    struct hconv_device_run *r = run_of(user_context);
    for (int i = 0; i < r->block_count; ++i)
        if (buffer->device == r->scratch + r->blocks[i].start) r->blocks[i].freed = 1;
    while (r->block_count && r->blocks[r->block_count - 1].freed) --r->block_count;
    buffer->device = 0;
    buffer->device_interface = NULL;
    return 0;
}

void hconv1_device_free_as_destructor(void *user_context, void *buffer) {
    hconv1_device_free(user_context, (hconv_buffer *)buffer);
}

/* ---- plans and runs */

static hconv_status call(const hconv_plan *plan, const hconv_run_args *args, struct hconv_device_run *r) {
    hconv_run_record run;
    hconv_worker root;
    void *ignored;
    memset(&run, 0, sizeof run);
    run.plan = plan, run.device = r;
    hconv_worker_init(&root, &run, NULL, 0);
    if (check(&root, r->device->d.push(r->device->context), "cuCtxPushCurrent")) return (hconv_status)run.error;
    if (hconv_call_kernel(plan, args, &root)) hconv_run_fail(&run, HCONV_INTERNAL);
    check(&root, r->device->d.pop(&ignored), "cuCtxPopCurrent");
    return (hconv_status)run.error;
}

hconv_status hconv_cuda_load(hconv_plan *plan, char *why, size_t why_bytes) {
    const hconv_context *ctx = plan->context;
    struct hconv_device_run r;
    char sentence[HCONV_WHY_BYTES] = "the kernel of the plan could not be prepared";
    hconv_status status;
    plan->loaded = (hconv_device_kernel *)hconv_context_alloc(ctx, sizeof *plan->loaded);
    if (!plan->loaded) {
        hconv_sentence(why, why_bytes, "no memory for a plan of %s", plan->text);
        return HCONV_OUT_OF_MEMORY;
    }
    memset(plan->loaded, 0, sizeof *plan->loaded);
    memset(&r, 0, sizeof r);
    r.device = ctx->device, r.kernel = plan->loaded, r.row = plan->kernel, r.loading = 1, r.why = sentence;
    r.scratch = HCONV_DEVICE_ALIGN; /* any address but none */
    status = call(plan, NULL, &r);
    plan->loaded->scratch = r.peak;
    if (status) hconv_sentence(why, why_bytes, "%s: %s", plan->kernel->symbol, sentence);
    return status;
}

void hconv_cuda_unload(const hconv_plan *plan) {
    const hconv_device *v = plan->context->device;
    void *ignored;
    if (!plan->loaded) return;
    if (plan->loaded->module && !v->d.push(v->context)) {
        v->d.module_unload(plan->loaded->module);
        v->d.pop(&ignored);
    }
    hconv_context_free(plan->context, plan->loaded);
}

size_t hconv_cuda_workspace(const hconv_plan *plan) { return plan->loaded->scratch; }

/* Scratch memory for one run, in the stream's order. Returns the status; pointer 0 where none is needed. */
static hconv_status take_scratch(const hconv_plan *plan, const hconv_device *v, void *stream, uint64_t *pointer, char *why) {
    int result;
    void *ignored;
    if (!plan->loaded->scratch) return HCONV_OK;
    if (!v->pools) {
        hconv_sentence(why, HCONV_WHY_BYTES, "hconv_run: this GPU cannot allocate in a stream's order: give a workspace");
        return HCONV_INVALID_ARGUMENT;
    }
    result = v->d.push(v->context);
    if (result) return fault(v, result, "cuCtxPushCurrent", why, HCONV_WHY_BYTES);
    result = v->d.alloc_async(pointer, plan->loaded->scratch, stream);
    v->d.pop(&ignored);
    return result ? fault(v, result, "cuMemAllocAsync", why, HCONV_WHY_BYTES) : HCONV_OK;
}

hconv_status hconv_cuda_run(const hconv_plan *plan, const hconv_run_args *args) {
    const hconv_device *v = plan->context->device;
    struct hconv_device_run r;
    char why[HCONV_WHY_BYTES] = "";
    uint64_t own = 0;
    hconv_status status = HCONV_OK;
    void *ignored;
    if (!args->workspace) status = take_scratch(plan, v, args->stream, &own, why);
    if (!status) {
        memset(&r, 0, offsetof(struct hconv_device_run, blocks));
        r.device = v, r.kernel = plan->loaded, r.row = plan->kernel, r.why = why, r.stream = args->stream;
        r.scratch = args->workspace ? (uint64_t)(uintptr_t)args->workspace : own;
        status = call(plan, args, &r);
    }
    if (own) {
        const char *call_name = "cuCtxPushCurrent";
        int result = v->d.push(v->context);
        if (!result) {
            call_name = "cuMemFreeAsync", result = v->d.free_async(own, args->stream);
            v->d.pop(&ignored);
        }
        if (result && !status) status = fault(v, result, call_name, why, HCONV_WHY_BYTES);
    }
    if (status) hconv_context_log(plan->context, 2, why[0] ? why : "hconv_run: the CUDA kernel made a call that has no place there");
    return status;
}
