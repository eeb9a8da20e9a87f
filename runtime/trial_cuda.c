/* trial_cuda.c - a trial of a CUDA kernel, see trial.h: memory of the device lies in rooms that are filled with a NaN of our
 * own and compared whole after every run; then other placements, streams, a second context, other contents of the workspace,
 * allocations that fail. Timed as launches in a row and, where the driver can, as a graph of them.
 * SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "internal.h"
#include "trial.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNWRITTEN 0x7fc0deadu /* what outputs hold before a run */
#define AROUND 0x7fc0beefu    /* what is around every tensor, and in the workspace */
#define ROOM 512              /* bytes around a tensor */

typedef struct driver {
    int (*init)(unsigned);
    int (*device_get)(int *, int);
    int (*device_name)(char *, int, int);
    int (*context_create)(void **, unsigned, int);
    int (*context_destroy)(void *);
    int (*push)(void *);
    int (*pop)(void **);
    int (*stream_create)(void **, unsigned);
    int (*stream_destroy)(void *);
    int (*stream_wait)(void *);
    int (*alloc)(uint64_t *, size_t);
    int (*release)(uint64_t);
    int (*to_device)(uint64_t, const void *, size_t);
    int (*to_host)(void *, uint64_t, size_t);
    int (*capture)(void *, int);
    int (*end_capture)(void *, void **);
    int (*instantiate)(void **, void *, unsigned long long);
    int (*graph_launch)(void *, void *);
    int (*graph_destroy)(void *);
    int (*exec_destroy)(void *);
} driver;
static const char *const names[] = {
    "cuInit", "cuDeviceGet", "cuDeviceGetName", "cuCtxCreate_v2", "cuCtxDestroy_v2", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2",
    "cuStreamCreate", "cuStreamDestroy_v2", "cuStreamSynchronize", "cuMemAlloc_v2", "cuMemFree_v2", "cuMemcpyHtoD_v2",
    "cuMemcpyDtoH_v2", "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch",
    "cuGraphDestroy", "cuGraphExecDestroy"};
enum { FUNCTIONS = sizeof names / sizeof *names, NEEDED = FUNCTIONS - 6 };

typedef struct region {
    const char *name;
    size_t bytes, room, at; /* at: where in the room the bytes begin */
    uint64_t base;
    unsigned char *host; /* what the room holds before a run, and then after */
} region;

typedef enum where { AT_END, AT_START, WITHIN } where;

typedef struct bench {
    const hconv_trial *t;
    hconv_trial_result *r;
    char *doing;
    float *output;
    driver d;
    int device;
    void *context, *stream;
    hconv_context *ctx;
    hconv_plan *plan;
    hconv_plan_info info;
    hconv_library library;
    hconv_tensor_list list;
    int input_count, output_count;
    region tensor[HCONV_MAX_TENSORS], packed, workspace;
    unsigned char *blob;
    unsigned fill; /* of the workspace */
} bench;

static int failed(bench *b, const char *format, const char *a, const char *c) {
    b->r->outcome = HCONV_FAILED;
    hconv_sentence(b->r->sentence, sizeof b->r->sentence, format, a, c);
    return 0;
}

static int done(bench *b, int result, const char *what) {
    char number[16];
    if (!result) return 1;
    snprintf(number, sizeof number, "%d", result);
    return failed(b, "%s: the CUDA driver says %s", what, number);
}

static int is_parameter(const bench *b, int i) { return b->list.at[i].role == HCONV_PARAMETER; }
static int first_output(const bench *b) { return b->list.count - b->output_count; }
static size_t bytes_of(const hconv_tensor *t) {
    size_t bytes = sizeof(float);
    for (int d = 0; d < t->rank; ++d) bytes *= (size_t)t->extent[d];
    return bytes;
}

/* ---- memory */

static int region_make(bench *b, region *r, const char *name, size_t bytes) {
    r->name = name, r->bytes = bytes;
    r->room = hconv_device_align_up(bytes) + 2 * ROOM;
    r->host = (unsigned char *)malloc(r->room);
    if (!r->host) return failed(b, "no memory for %s%s", name, "");
    return done(b, b->d.alloc(&r->base, r->room), "memory for a tensor");
}

static void region_free(bench *b, region *r) {
    if (r->base) b->d.release(r->base);
    free(r->host);
    memset(r, 0, sizeof *r);
}

static void put(unsigned char *at, size_t bytes, uint32_t value) {
    for (size_t i = 0; i < bytes; i += sizeof value) memcpy(at + i, &value, sizeof value);
}

/* align: of the tensor; extra: bytes past a multiple of 256, where it is WITHIN. */
static void region_place(region *r, where w, size_t align, size_t extra) {
    size_t whole = (r->bytes + align - 1) / align * align;
    r->at = w == AT_END ? r->room - whole : w == AT_START ? 0 : HCONV_DEVICE_ALIGN + (align < HCONV_DEVICE_ALIGN ? extra : 0);
    put(r->host, r->room, AROUND);
}

static int check_region(bench *b, region *r, const void *expected, int output) {
    uint32_t word;
    for (size_t i = 0; i < r->room; i += sizeof word) {
        int inside = i >= r->at && i < r->at + r->bytes;
        memcpy(&word, r->host + i, sizeof word);
        if (!inside && word != AROUND) return failed(b, "%s: wrote outside %s", b->doing, r->name);
        if (!inside || !output) continue;
        if (word == UNWRITTEN) return failed(b, "%s: not every element of %s was written", b->doing, r->name);
        if (word == AROUND) return failed(b, "%s: %s was computed from bytes around a tensor, or from workspace never written",
                                          b->doing, r->name);
    }
    if (expected && memcmp(expected, r->host + r->at, r->bytes)) return failed(b, "%s: %s was changed", b->doing, r->name);
    return 1;
}

/* ---- runs */

static hconv_status call(bench *b, int with_workspace, size_t workspace_bytes) {
    const void *inputs[HCONV_MAX_TENSORS];
    void *outputs[HCONV_MAX_TENSORS];
    hconv_run_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    for (int i = 0; i < b->list.count; ++i) {
        void *pointer = (void *)(uintptr_t)(b->tensor[i].base + b->tensor[i].at);
        if (i < b->input_count) inputs[args.input_count++] = pointer;
        if (i >= first_output(b)) outputs[args.output_count++] = pointer;
    }
    args.inputs = inputs, args.outputs = outputs;
    args.packed = (void *)(uintptr_t)(b->packed.base + b->packed.at);
    args.workspace = with_workspace ? (void *)(uintptr_t)(b->workspace.base + b->workspace.at) : NULL;
    args.workspace_bytes = with_workspace ? workspace_bytes : 0;
    args.stream = b->stream;
    return hconv_run(b->plan, &args);
}

static int fill_all(bench *b, where w, size_t extra) {
    int ok = 1;
    for (int i = 0; i < b->list.count && ok; ++i) {
        region *r = &b->tensor[i];
        if (is_parameter(b, i)) continue;
        region_place(r, w, HCONV_DEVICE_TENSOR_ALIGN, extra);
        if (i < b->input_count) memcpy(r->host + r->at, b->t->data[i], r->bytes);
        else put(r->host + r->at, r->bytes, UNWRITTEN);
        ok = done(b, b->d.to_device(r->base, r->host, r->room), "copying a tensor");
    }
    region_place(&b->packed, w, HCONV_DEVICE_ALIGN, 0);
    memcpy(b->packed.host + b->packed.at, b->blob, b->packed.bytes);
    region_place(&b->workspace, w, HCONV_DEVICE_ALIGN, 0);
    put(b->workspace.host + b->workspace.at, b->workspace.bytes, b->fill);
    return ok && done(b, b->d.to_device(b->packed.base, b->packed.host, b->packed.room), "copying the parameters") &&
           done(b, b->d.to_device(b->workspace.base, b->workspace.host, b->workspace.room), "filling the workspace");
}

static int look_at_all(bench *b) {
    int ok = done(b, b->d.to_host(b->packed.host, b->packed.base, b->packed.room), "copying the parameters back") &&
             done(b, b->d.to_host(b->workspace.host, b->workspace.base, b->workspace.room), "copying the workspace back") &&
             check_region(b, &b->packed, b->blob, 0) && check_region(b, &b->workspace, NULL, 0);
    for (int i = 0; i < b->list.count && ok; ++i) {
        region *r = &b->tensor[i];
        if (is_parameter(b, i)) continue;
        ok = done(b, b->d.to_host(r->host, r->base, r->room), "copying a tensor back") &&
             check_region(b, r, i < b->input_count ? b->t->data[i] : NULL, i >= first_output(b));
    }
    return ok;
}

static int run(bench *b, where w, size_t extra, int with_workspace) {
    hconv_status status;
    if (!fill_all(b, w, extra)) return 0;
    status = call(b, with_workspace, b->info.workspace_bytes);
    if (status) return failed(b, "%s: hconv_run says %s", b->doing, hconv_status_name(status));
    return done(b, b->d.stream_wait(b->stream), "waiting for the stream") && look_at_all(b);
}

static void each_output(bench *b, void (*use)(float *kept, region *r, int *differs), int *differs) {
    float *kept = b->output;
    for (int i = first_output(b); i < b->list.count; ++i) {
        use(kept, &b->tensor[i], differs);
        kept += b->tensor[i].bytes / sizeof(float);
    }
}
static void keep(float *kept, region *r, int *ignored) { (void)ignored, memcpy(kept, r->host + r->at, r->bytes); }
static void compare(float *kept, region *r, int *differs) { *differs |= memcmp(kept, r->host + r->at, r->bytes) != 0; }

static int run_same(bench *b, where w, size_t extra, int with_workspace) {
    int differs = 0;
    if (!run(b, w, extra, with_workspace)) return 0;
    each_output(b, compare, &differs);
    return !differs || failed(b, "%s: the bits differ from the first run's%s", b->doing, "");
}

/* ---- contexts */

static int open_plan(bench *b, hconv_context_options *o, hconv_status *status) {
    char *why = b->r->sentence;
    b->library.abi = HCONV_LIBRARY_ABI, b->library.kernel_count = 1;
    b->library.name = b->library.made_by = "trial", b->library.kernels = b->t->kernel;
    o->struct_size = sizeof *o;
    o->num_threads = 1, o->cuda_context = b->context;
    *status = hconv_context_create(o, &b->ctx, why, HCONV_WHY_BYTES);
    if (!*status) *status = hconv_context_add_library(b->ctx, &b->library);
    if (!*status) *status = hconv_plan_create(b->ctx, b->t->problem, &b->plan, why, HCONV_WHY_BYTES);
    b->info.struct_size = sizeof b->info;
    if (!*status) *status = hconv_plan_describe(b->plan, &b->info);
    return !*status;
}

static void close_plan(bench *b) {
    hconv_plan_destroy(b->plan);
    hconv_context_destroy(b->ctx);
    b->plan = NULL, b->ctx = NULL;
}

static int pack(bench *b) {
    hconv_parameter given[HCONV_MAX_TENSORS];
    char why[HCONV_WHY_BYTES] = "";
    int count = 0;
    void *memory = NULL;
    hconv_status status;
    for (int i = 0; i < b->list.count; ++i) {
        if (!is_parameter(b, i) || !b->t->data[i]) continue;
        given[count].name = b->list.at[i].name, given[count].data = b->t->data[i];
        given[count++].bytes = bytes_of(&b->list.at[i]);
    }
    free(b->blob), b->blob = NULL;
    if (posix_memalign(&memory, HCONV_ALIGN, b->info.packed_bytes)) return failed(b, "no memory for the parameters%s%s", "", "");
    b->blob = (unsigned char *)memory;
    status = hconv_pack(b->plan, given, count, b->blob, b->info.packed_bytes, why, sizeof why);
    return !status || failed(b, "hconv_pack: %s (%s)", why, hconv_status_name(status));
}

static int make_memory(bench *b) {
    int ok = 1;
    for (int i = 0; i < b->list.count && ok; ++i)
        if (!is_parameter(b, i)) ok = region_make(b, &b->tensor[i], b->list.at[i].name, bytes_of(&b->list.at[i]));
    return ok && region_make(b, &b->packed, "the packed parameters", b->info.packed_bytes) &&
           region_make(b, &b->workspace, "the workspace", b->info.workspace_bytes);
}

static void free_memory(bench *b) {
    for (int i = 0; i < b->list.count; ++i) region_free(b, &b->tensor[i]);
    region_free(b, &b->packed), region_free(b, &b->workspace);
}

/* A context of its own, a stream, a plan and memory. The status says why there is no plan. */
static int enter(bench *b, hconv_status *status) {
    hconv_context_options o;
    void *ignored;
    memset(&o, 0, sizeof o);
    *status = HCONV_OK;
    if (!done(b, b->d.context_create(&b->context, 0, b->device), "cuCtxCreate")) return 0;
    if (!done(b, b->d.stream_create(&b->stream, 1), "cuStreamCreate")) return 0;
    b->d.pop(&ignored); /* the plan must find its context itself */
    if (!open_plan(b, &o, status)) return b->d.push(b->context), 0;
    b->d.push(b->context);
    return pack(b) && make_memory(b);
}

static void leave(bench *b) {
    void *ignored;
    close_plan(b);
    free_memory(b);
    if (b->stream) b->d.stream_destroy(b->stream);
    if (b->context) b->d.pop(&ignored), b->d.context_destroy(b->context);
    b->stream = b->context = NULL;
}

/* ---- the checks */

static int check_bounds(bench *b) {
    int ok = 1;
    snprintf(b->doing, 128, "bounds, tensors at the start of their memory");
    ok = run_same(b, AT_START, 0, 1);
    for (size_t extra = 0; extra < 64 && ok; extra += HCONV_DEVICE_TENSOR_ALIGN) {
        snprintf(b->doing, 128, "bounds, %d bytes past a multiple of 64", (int)extra);
        ok = run_same(b, WITHIN, extra, 1);
    }
    return ok;
}

static int check_repeat(bench *b) {
    void *stream = b->stream, *second = NULL, *ignored;
    int ok;
    snprintf(b->doing, 128, "again");
    ok = run_same(b, AT_END, 0, 1) && done(b, b->d.stream_create(&second, 1), "a second stream");
    snprintf(b->doing, 128, "a second stream");
    b->stream = second;
    ok = ok && run_same(b, AT_END, 0, 1);
    snprintf(b->doing, 128, "no stream, and another context current");
    b->stream = NULL;
    if (ok && !b->d.pop(&ignored)) {
        ok = fill_all(b, AT_END, 0);
        ok = ok && (!call(b, 1, b->info.workspace_bytes) || failed(b, "%s: hconv_run fails%s", b->doing, ""));
        b->d.push(b->context);
        ok = ok && done(b, b->d.stream_wait(NULL), "waiting") && look_at_all(b);
    }
    b->stream = stream;
    if (second) b->d.stream_destroy(second);
    return ok;
}

/* A plan of the same kernel in another context, with memory of its own, while the first is alive. */
static int check_second_context(const bench *first) {
    bench b = *first;
    hconv_status status;
    int ok;
    memset(b.tensor, 0, sizeof b.tensor), memset(&b.packed, 0, sizeof b.packed), memset(&b.workspace, 0, sizeof b.workspace);
    b.context = b.stream = NULL, b.ctx = NULL, b.plan = NULL, b.blob = NULL;
    ok = enter(&b, &status);
    if (!ok && status) failed(&b, "a plan in a second context: %s%s", hconv_status_name(status), "");
    snprintf(b.doing, 128, "a second context");
    ok = ok && run_same(&b, AT_END, 0, 1);
    leave(&b);
    free(b.blob);
    return ok;
}

typedef struct meter { int calls, fail_at, out; } meter;
static void *metered_alloc(void *user, size_t align, size_t bytes) {
    meter *m = (meter *)user;
    void *p = NULL;
    if (m->calls++ == m->fail_at || posix_memalign(&p, align, bytes)) return NULL;
    return ++m->out, p;
}
static void metered_free(void *user, void *p) {
    if (p) --((meter *)user)->out;
    free(p);
}

/* Everything anew with an allocator that fails at its call k, until that is never reached; none of them is in a run. */
static int check_allocator(bench *b) {
    for (int k = 0; k < 100; ++k) {
        meter m = {0, 0, 0};
        hconv_context_options o;
        hconv_status status;
        int opened, before;
        memset(&o, 0, sizeof o);
        m.fail_at = k, o.user = &m, o.alloc = metered_alloc, o.free = metered_free;
        snprintf(b->doing, 128, "allocation %d fails", k + 1);
        opened = open_plan(b, &o, &status), before = m.calls;
        if (opened && !run_same(b, AT_END, 0, 1)) return close_plan(b), 0;
        close_plan(b);
        if (m.calls > before) return failed(b, "a run with a workspace allocates memory%s%s", "", "");
        if (m.out) return failed(b, "%s: memory is lost%s", b->doing, "");
        if (opened) return 1;
        if (status != HCONV_OUT_OF_MEMORY)
            return failed(b, "%s: the answer is %s, not out of memory", b->doing, hconv_status_name(status));
        b->r->sentence[0] = 0;
    }
    return failed(b, "a plan takes more than 100 allocations%s%s", "", "");
}

static int check_workspace(bench *b) {
    static const unsigned contents[] = {0, 0xffffffffu, 0x7f7f7f7fu, 0x3f3f3f3fu};
    hconv_context_options o;
    hconv_status status;
    int ok = 1;
    memset(&o, 0, sizeof o);
    for (int i = 0; i < 4 && ok; ++i) {
        b->fill = contents[i];
        snprintf(b->doing, 128, "workspace full of %08x", contents[i]);
        ok = run_same(b, AT_END, 0, 1);
    }
    b->fill = AROUND;
    if (ok && b->info.workspace_bytes && call(b, 1, b->info.workspace_bytes - 1) != HCONV_INVALID_ARGUMENT)
        ok = failed(b, "a workspace one byte too small is not refused%s%s", "", "");
    snprintf(b->doing, 128, "no workspace given");
    ok = ok && run_same(b, AT_END, 0, 0);
    close_plan(b);
    ok = ok && check_allocator(b);
    return ok && (open_plan(b, &o, &status) || failed(b, "a new plan: %s%s", hconv_status_name(status), ""));
}

/* ---- timing */

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* A graph of so many runs, or NULL. */
static void *graph_of(bench *b, int runs) {
    void *graph = NULL, *ready = NULL;
    if (!b->d.capture || !b->d.instantiate || b->d.capture(b->stream, 2)) return NULL;
    for (int i = 0; i < runs; ++i) call(b, 1, b->info.workspace_bytes);
    if (b->d.end_capture(b->stream, &graph) || !graph) return NULL;
    if (b->d.instantiate(&ready, graph, 0)) ready = NULL;
    b->d.graph_destroy(graph);
    return ready;
}

static double batch_ns(bench *b, void *graph, int runs) {
    double start;
    b->d.stream_wait(b->stream);
    start = now_ns();
    if (graph) b->d.graph_launch(graph, b->stream);
    for (int i = 0; i < runs && !graph; ++i) call(b, 1, b->info.workspace_bytes);
    b->d.stream_wait(b->stream);
    return (now_ns() - start) / runs;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Warm: batches take at least 20 milliseconds, or 512 runs, so that the wait for the last is little of them. */
static int measure(bench *b) {
    int runs = 4, rounds = b->t->rounds;
    double *times = (double *)malloc((size_t)rounds * sizeof *times);
    void *graph;
    if (!times) return failed(b, "no memory for the times%s%s", "", "");
    snprintf(b->doing, 128, "timing");
    if (!run_same(b, WITHIN, 0, 1)) return free(times), 0;
    batch_ns(b, NULL, 3);
    while (runs < 512 && batch_ns(b, NULL, runs) * runs < 2e7) runs *= 2;
    graph = graph_of(b, runs);
    if (graph) batch_ns(b, graph, runs);
    for (int i = 0; i < rounds; ++i) times[i] = batch_ns(b, graph, runs);
    if (graph) b->d.exec_destroy(graph);
    qsort(times, (size_t)rounds, sizeof *times, compare_doubles);
    b->r->rounds = rounds, b->r->min_ns = times[0];
    b->r->median_ns = rounds % 2 ? times[rounds / 2] : (times[rounds / 2 - 1] + times[rounds / 2]) / 2;
    free(times);
    return 1;
}

/* ---- all of it */

static int open_driver(bench *b) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    for (int i = 0; library && i < FUNCTIONS; ++i) {
        void *found = dlsym(library, names[i]);
        if (!found && i < NEEDED) return 0;
        memcpy((char *)&b->d + (size_t)i * sizeof found, &found, sizeof found);
    }
    return library && !b->d.init(0) && !b->d.device_get(&b->device, 0);
}

static int checks(bench *b) {
    const unsigned which = b->t->checks;
    snprintf(b->doing, 128, "first run");
    if (!run(b, AT_END, 0, 1)) return 0;
    each_output(b, keep, NULL);
    return (!(which & HCONV_TRIAL_BOUNDS) || check_bounds(b)) &&
           (!(which & HCONV_TRIAL_REPEAT) || (check_repeat(b) && check_second_context(b))) &&
           (!(which & HCONV_TRIAL_WORKSPACE) || check_workspace(b)) && (!b->t->rounds || measure(b));
}

void hconv_trial_on_device(const hconv_trial *t, hconv_trial_result *r, char doing[128], float *output) {
    bench b;
    hconv_status status;
    memset(&b, 0, sizeof b);
    b.t = t, b.r = r, b.doing = doing, b.output = output, b.fill = AROUND;
    if (!open_driver(&b)) {
        r->outcome = HCONV_SKIPPED;
        hconv_sentence(r->sentence, sizeof r->sentence, "there is no GPU with a CUDA driver here");
        return;
    }
    hconv_variant_of(t->problem)->family->tensors(t->problem, &b.list);
    for (int i = 0; i < b.list.count; ++i) {
        b.input_count += b.list.at[i].role == HCONV_INPUT;
        b.output_count += b.list.at[i].role == HCONV_OUTPUT;
    }
    if (enter(&b, &status)) {
        r->workspace_bytes = b.info.workspace_bytes, r->packed_bytes = b.info.packed_bytes;
        r->flops = b.info.flops, r->bytes_moved = b.info.bytes_moved;
        if (checks(&b)) r->outcome = HCONV_PASSED;
    } else if (status) {
        r->outcome = HCONV_FAILED;
    }
    leave(&b);
    free(b.blob);
}
