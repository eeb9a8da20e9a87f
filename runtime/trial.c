/* trial.c - see trial.h. A region is a mapping with an inaccessible page on either side; a placement says where in it
 * the bytes lie: at its start or its end, flush or at a given distance from a multiple of 64.
 * SPDX-License-Identifier: MIT
 * What surrounds the bytes is a NaN of our own: used, it shows up in an output; overwritten, it is missed. */
#define _DEFAULT_SOURCE
#define _GNU_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "trial.h"

#include "internal.h"

#include <errno.h>
#if defined(__linux__)
#include <sched.h>
#endif
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#define UNWRITTEN 0x7fc0deadu /* what outputs hold before a run */
#define AROUND 0x7fc0beefu    /* what is around every tensor, and in the workspace */
#define LINE 64
#define FLUSH (-1)
#define MANY_THREADS 8
#define MUCH (1 << 24) /* bytes in all tensors: from here on fewer alignments are tried */

typedef struct region {
    const char *name;
    unsigned char *map, *room, *data; /* room: the accessible part */
    size_t map_bytes, room_bytes, bytes;
} region;

typedef struct placement {
    int at_end, alignment;
} placement; /* alignment: bytes past a multiple of 64, or FLUSH */

/* What both processes see. */
typedef struct shared {
    hconv_trial_result result;
    char doing[128];
    volatile uintptr_t fault;
    int region_count;
    struct {
        char name[48];
        uintptr_t begin, end;
    } regions[HCONV_MAX_TENSORS + 2];
    float output[];
} shared;

/* A context and a plan for one way of running. */
typedef struct service {
    hconv_context *ctx;
    hconv_plan *plan;
    hconv_plan_info info;
    hconv_library library; /* holds the one kernel under trial */
} service;

typedef struct bench { /* the tensors of a trial in guarded memory */
    const hconv_trial *t;
    shared *s;
    hconv_tensor_list list;
    int input_count, output_count;
    region tensor[HCONV_MAX_TENSORS], packed, workspace;
} bench;

/* ---- failing */

static int failed(shared *s, const char *format, const char *a, const char *b) {
    s->result.outcome = HCONV_FAILED;
    hconv_sentence(s->result.sentence, sizeof s->result.sentence, format, a, b);
    return 0;
}

/* ---- regions */

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static int region_make(region *r, const char *name, size_t bytes) {
    size_t page = page_bytes();
    memset(r, 0, sizeof *r);
    r->name = name;
    r->bytes = bytes;
    r->room_bytes = (bytes + 2 * LINE + page - 1) / page * page;
    r->map_bytes = r->room_bytes + 2 * page;
    r->map = (unsigned char *)mmap(NULL, r->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->map == MAP_FAILED) return r->map = NULL, 0;
    r->room = r->map + page;
    return !mprotect(r->room, r->room_bytes, PROT_READ | PROT_WRITE);
}

static void region_free(region *r) {
    if (r->map) munmap(r->map, r->map_bytes);
    r->map = NULL;
}

static void put(unsigned char *from, const unsigned char *to, uint32_t value) {
    for (; from < to; from += sizeof value) memcpy(from, &value, sizeof value);
}

static int is(const unsigned char *at, uint32_t value) { return !memcmp(at, &value, sizeof value); }

static void region_place(region *r, placement where) {
    size_t gap = 0;
    if (where.at_end) {
        unsigned char *flush = r->room + r->room_bytes - r->bytes;
        if (where.alignment != FLUSH) gap = ((uintptr_t)flush - (uintptr_t)where.alignment) % LINE;
        r->data = flush - gap;
    } else {
        r->data = r->room + (where.alignment == FLUSH ? 0 : where.alignment);
    }
    put(r->room, r->room + r->room_bytes, AROUND);
}

/* Is everything around the bytes as region_place left it? */
static int surroundings_kept(const region *r) {
    for (const unsigned char *at = r->room; at < r->room + r->room_bytes; at += sizeof(uint32_t))
        if ((at < r->data || at >= r->data + r->bytes) && !is(at, AROUND)) return 0;
    return 1;
}

static int holds(const region *r, uint32_t value) {
    for (size_t i = 0; i < r->bytes; i += sizeof value)
        if (is(r->data + i, value)) return 1;
    return 0;
}

static int read_only(region *r, int on) {
    return !mprotect(r->room, r->room_bytes, on ? PROT_READ : PROT_READ | PROT_WRITE);
}

/* ---- services */

static int reversed_parallel_for(void *user, int count, int (*task)(void *arg, int i), void *arg) {
    int error = 0;
    (void)user;
    for (int i = count - 1; i >= 0; --i)
        if (task(arg, i)) error = 1;
    return error;
}

static hconv_status service_open(service *v, const hconv_trial *t, const hconv_context_options *options, char *why,
                                 size_t why_bytes) {
    hconv_status status;
    memset(v, 0, sizeof *v);
    v->library.abi = HCONV_LIBRARY_ABI, v->library.kernel_count = 1;
    v->library.name = "trial", v->library.made_by = "trial";
    v->library.kernels = t->kernel;
    status = hconv_context_create(options, &v->ctx, why, why_bytes);
    if (!status) {
        status = hconv_context_add_library(v->ctx, &v->library);
        if (status) hconv_sentence(why, why_bytes, "the kernel's table was refused: %s", hconv_status_name(status));
    }
    if (!status) status = hconv_plan_create(v->ctx, t->problem, &v->plan, why, why_bytes);
    v->info.struct_size = sizeof v->info;
    if (!status) status = hconv_plan_describe(v->plan, &v->info);
    return status;
}

static void service_close(service *v) {
    hconv_plan_destroy(v->plan);
    hconv_context_destroy(v->ctx);
}

static hconv_context_options options_of(int threads, int reversed) {
    hconv_context_options o;
    memset(&o, 0, sizeof o);
    o.struct_size = sizeof o;
    o.num_threads = threads;
    if (reversed) o.parallel_for = reversed_parallel_for;
    return o;
}

/* ---- the bench */

static const float *data_of(const bench *b, int tensor) { return b->t->data[tensor]; }

static int is_parameter(const bench *b, int i) { return b->list.at[i].role == HCONV_PARAMETER; }

static size_t bytes_of(const hconv_tensor *t) {
    size_t bytes = sizeof(float);
    for (int d = 0; d < t->rank; ++d) bytes *= (size_t)t->extent[d];
    return bytes;
}

static int first_output(const bench *b) { return b->list.count - b->output_count; }

static int pack(bench *b, const service *v, void *packed, size_t bytes) {
    hconv_parameter given[HCONV_MAX_TENSORS];
    char why[HCONV_WHY_BYTES] = "";
    int count = 0;
    hconv_status status;
    for (int i = 0; i < b->list.count; ++i) {
        if (!is_parameter(b, i) || !data_of(b, i)) continue;
        given[count].name = b->list.at[i].name;
        given[count].data = data_of(b, i);
        given[count++].bytes = bytes_of(&b->list.at[i]);
    }
    status = hconv_pack(v->plan, given, count, packed, bytes, why, sizeof why);
    return !status || failed(b->s, "hconv_pack: %s (%s)", why, hconv_status_name(status));
}

static int bench_make(bench *b, const hconv_trial *t, shared *s, const service *v) {
    int ok = 1;
    memset(b, 0, sizeof *b);
    b->t = t, b->s = s;
    hconv_variant_of(t->problem)->family->tensors(t->problem, &b->list);
    for (int i = 0; i < b->list.count; ++i) {
        b->input_count += b->list.at[i].role == HCONV_INPUT;
        b->output_count += b->list.at[i].role == HCONV_OUTPUT;
        if (!is_parameter(b, i)) ok &= region_make(&b->tensor[i], b->list.at[i].name, bytes_of(&b->list.at[i]));
    }
    ok &= region_make(&b->packed, "the packed parameters", v->info.packed_bytes);
    if (!ok) return failed(s, "no memory for the tensors%s%s", "", "");
    region_place(&b->packed, (placement){1, 0});
    if (!surroundings_kept(&b->packed)) return failed(s, "the guard of %s is broken%s", b->packed.name, "");
    if (!pack(b, v, b->packed.data, b->packed.bytes)) return 0;
    if (!surroundings_kept(&b->packed)) return failed(s, "hconv_pack wrote outside packed_bytes%s%s", "", "");
    return 1;
}

static void bench_free(bench *b) {
    for (int i = 0; i < b->list.count; ++i) region_free(&b->tensor[i]);
    region_free(&b->packed);
    region_free(&b->workspace);
}

/* Every region where the placement says, inputs filled; the crash handler's table is brought up to date. */
static void place_all(bench *b, placement where) {
    shared *s = b->s;
    s->region_count = 0;
    for (int i = 0; i < b->list.count; ++i) {
        region *r = &b->tensor[i];
        if (is_parameter(b, i)) continue;
        region_place(r, where);
        if (i < b->input_count) memcpy(r->data, data_of(b, i), r->bytes);
        else put(r->data, r->data + r->bytes, UNWRITTEN);
    }
    for (int i = 0; i < b->list.count + 2; ++i) {
        const region *r = i < b->list.count ? &b->tensor[i] : i == b->list.count ? &b->packed : &b->workspace;
        if (!r->map) continue;
        snprintf(s->regions[s->region_count].name, sizeof s->regions->name, "%s", r->name);
        s->regions[s->region_count].begin = (uintptr_t)r->data;
        s->regions[s->region_count++].end = (uintptr_t)r->data + r->bytes;
    }
}

static int workspace_make(bench *b, const service *v, placement where) {
    region_free(&b->workspace);
    if (!region_make(&b->workspace, "the workspace", v->info.workspace_bytes))
        return failed(b->s, "no memory for the workspace%s%s", "", "");
    region_place(&b->workspace, (placement){where.at_end, 0});
    return 1;
}

static hconv_status call(const bench *b, const service *v, void *workspace, size_t workspace_bytes) {
    const void *inputs[HCONV_MAX_TENSORS];
    void *outputs[HCONV_MAX_TENSORS];
    hconv_run_args args;
    for (int i = 0; i < b->input_count; ++i) inputs[i] = b->tensor[i].data;
    for (int i = 0; i < b->output_count; ++i) outputs[i] = b->tensor[first_output(b) + i].data;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.input_count = b->input_count, args.output_count = b->output_count;
    args.inputs = inputs, args.outputs = outputs;
    args.packed = b->packed.data;
    args.workspace = workspace, args.workspace_bytes = workspace_bytes;
    return hconv_run(v->plan, &args);
}

/* Nothing but the outputs changed, and every element of them was written. */
static int check_memory(bench *b) {
    for (int i = 0; i < b->list.count; ++i) {
        const region *r = &b->tensor[i];
        if (is_parameter(b, i)) continue;
        if (!surroundings_kept(r)) return failed(b->s, "%s: wrote outside %s", b->s->doing, r->name);
        if (i < b->input_count && memcmp(r->data, data_of(b, i), r->bytes))
            return failed(b->s, "%s: the input %s was changed", b->s->doing, r->name);
        if (i >= first_output(b) && holds(r, UNWRITTEN))
            return failed(b->s, "%s: not every element of %s was written", b->s->doing, r->name);
        if (i >= first_output(b) && holds(r, AROUND))
            return failed(b->s, "%s: %s was computed from bytes around a tensor, or from workspace never written",
                          b->s->doing, r->name);
    }
    if (b->workspace.map && !surroundings_kept(&b->workspace))
        return failed(b->s, "%s: wrote outside %s", b->s->doing, b->workspace.name);
    return 1;
}

static int same_outputs(const bench *b) {
    const char *first = (const char *)b->s->output;
    for (int i = first_output(b); i < b->list.count; ++i) {
        if (memcmp(first, b->tensor[i].data, b->tensor[i].bytes))
            return failed(b->s, "%s: the bits of %s differ from the first run's", b->s->doing, b->tensor[i].name);
        first += b->tensor[i].bytes;
    }
    return 1;
}

/* One run in guarded memory, with a workspace of exactly the plan's bytes. */
static int run_guarded(bench *b, const service *v, placement where) {
    hconv_status status;
    if (!workspace_make(b, v, where)) return 0;
    place_all(b, where);
    status = call(b, v, b->workspace.data, b->workspace.bytes);
    if (status) return failed(b->s, "%s: hconv_run says %s", b->s->doing, hconv_status_name(status));
    return check_memory(b);
}

static void doing(bench *b, const char *check, placement where) {
    char alignment[32];
    if (where.alignment == FLUSH) snprintf(alignment, sizeof alignment, "flush");
    else snprintf(alignment, sizeof alignment, "%d bytes past a multiple of 64", where.alignment);
    snprintf(b->s->doing, sizeof b->s->doing, "%s, tensors at the %s of a page, %s", check,
             where.at_end ? "end" : "start", alignment);
}

/* ---- the checks */

static int plain_run(bench *b, const service *v) {
    placement where = {1, 0};
    char *to = (char *)b->s->output;
    doing(b, "first run", where);
    if (!run_guarded(b, v, where)) return 0;
    for (int i = first_output(b); i < b->list.count; ++i) {
        memcpy(to, b->tensor[i].data, b->tensor[i].bytes);
        to += b->tensor[i].bytes;
    }
    return 1;
}

static int check_bounds(bench *b, const service *v) {
    int ok = 1, step = b->s->result.bytes_moved < MUCH ? 4 : 20; /* 20: 0, 20, 40, 60 past a line */
    unsigned char *packed = (unsigned char *)malloc(b->packed.bytes + 1);
    if (!packed) return failed(b->s, "no memory to keep the packed parameters%s%s", "", "");
    memcpy(packed, b->packed.data, b->packed.bytes);
    for (int at_end = 1; at_end >= 0 && ok; --at_end) {
        region_place(&b->packed, (placement){at_end, 0});
        memcpy(b->packed.data, packed, b->packed.bytes);
        read_only(&b->packed, 1);
        for (int alignment = FLUSH; alignment < LINE && ok; alignment = alignment == FLUSH ? 0 : alignment + step) {
            placement where = {at_end, alignment};
            hconv_status status;
            doing(b, "bounds", where);
            if (!workspace_make(b, v, where)) return free(packed), 0;
            place_all(b, where);
            for (int i = 0; i < b->input_count; ++i) read_only(&b->tensor[i], 1);
            status = call(b, v, b->workspace.data, b->workspace.bytes);
            for (int i = 0; i < b->input_count; ++i) read_only(&b->tensor[i], 0);
            if (status) ok = failed(b->s, "%s: hconv_run says %s", b->s->doing, hconv_status_name(status));
            ok = ok && check_memory(b) && same_outputs(b);
        }
        read_only(&b->packed, 0);
    }
    free(packed);
    return ok;
}

static int repeat_under(bench *b, int threads, int reversed) {
    hconv_context_options options = options_of(threads, reversed);
    char why[HCONV_WHY_BYTES] = "";
    placement where = {1, 0};
    service v;
    int ok = 1;
    if (service_open(&v, b->t, &options, why, sizeof why))
        ok = failed(b->s, "a second plan of the problem: %s%s", why, "");
    snprintf(b->s->doing, sizeof b->s->doing, "repeat, %d thread%s%s", threads, threads > 1 ? "s" : "",
             reversed ? ", tasks in reversed order" : "");
    for (int again = 0; again < 2 && ok; ++again) ok = run_guarded(b, &v, where) && same_outputs(b);
    service_close(&v);
    return ok;
}

/* The memory that tasks of a parallel loop share: what it held before the loop, and what tasks made of it. */
typedef struct shared_part {
    const char *name;
    unsigned char *at, *before, *after, *written;
    size_t bytes;
} shared_part;

typedef struct ledger {
    shared_part part[HCONV_MAX_TENSORS + 1];
    int count;
    const char *clash; /* where two tasks wrote one element */
} ledger;

static int ledger_add(ledger *l, const char *name, unsigned char *at, size_t bytes) {
    shared_part *p = &l->part[l->count++];
    p->name = name, p->at = at, p->bytes = bytes;
    p->before = (unsigned char *)malloc(3 * bytes + 1);
    if (!p->before) return 0;
    p->after = p->before + bytes, p->written = p->after + bytes;
    return 1;
}

/* Moves what a task wrote into the ledger and undoes it, so that a second writer shows up as well. */
static void take_writes(ledger *l) {
    uint32_t word;
    for (shared_part *p = l->part; p < l->part + l->count; ++p) {
        for (size_t i = 0; i < p->bytes; i += sizeof word) {
            if (i % 1024 == 0 && i + 1024 <= p->bytes && !memcmp(p->at + i, p->before + i, 1024)) i += 1024 - sizeof word;
            else if (memcmp(p->at + i, p->before + i, sizeof word)) {
                if (p->written[i]) l->clash = p->name;
                p->written[i] = 1;
                memcpy(p->after + i, p->at + i, sizeof word);
                memcpy(p->at + i, p->before + i, sizeof word);
            }
        }
    }
}

/* Every task as if it were alone: it sees nothing of what others of its loop wrote. */
static int apart_parallel_for(void *user, int count, int (*task)(void *arg, int i), void *arg) {
    ledger *l = (ledger *)user;
    hconv_loop *loop = (hconv_loop *)arg;
    int tasks = loop->count, error = 0;
    (void)count;
    for (shared_part *p = l->part; p < l->part + l->count; ++p) {
        memcpy(p->before, p->at, p->bytes);
        memcpy(p->after, p->at, p->bytes);
        memset(p->written, 0, p->bytes);
    }
    for (int i = 0; i < tasks && !error; ++i) {
        hconv_loop_share(loop, i, 1);
        error = task(arg, 0);
        take_writes(l);
    }
    for (shared_part *p = l->part; p < l->part + l->count; ++p) memcpy(p->at, p->after, p->bytes);
    return error;
}

/* Outputs, and the part of the workspace that is not a worker's own. */
static int run_apart(bench *b, const service *v, ledger *l) {
    placement where = {1, 0};
    hconv_status status;
    if (!workspace_make(b, v, where)) return 0;
    place_all(b, where);
    for (int i = first_output(b); i < b->list.count; ++i)
        if (!ledger_add(l, b->tensor[i].name, b->tensor[i].data, b->tensor[i].bytes))
            return failed(b->s, "%s: no memory%s", b->s->doing, "");
    if (!ledger_add(l, "a buffer of the workspace", b->workspace.data + HCONV_ALIGN, v->plan->root_bytes - HCONV_ALIGN))
        return failed(b->s, "%s: no memory%s", b->s->doing, "");
    status = call(b, v, b->workspace.data, b->workspace.bytes);
    if (status) return failed(b->s, "%s: hconv_run says %s", b->s->doing, hconv_status_name(status));
    if (l->clash) return failed(b->s, "%s: two tasks write one element of %s", b->s->doing, l->clash);
    return check_memory(b) && same_outputs(b);
}

static int check_disjoint(bench *b) {
    hconv_context_options options = options_of(2, 1);
    char why[HCONV_WHY_BYTES] = "";
    ledger l;
    service v;
    int ok;
    memset(&l, 0, sizeof l);
    options.parallel_for = apart_parallel_for, options.user = &l;
    snprintf(b->s->doing, sizeof b->s->doing, "every task alone");
    if (service_open(&v, b->t, &options, why, sizeof why)) ok = failed(b->s, "a second plan of the problem: %s%s", why, "");
    else ok = run_apart(b, &v, &l);
    for (int i = 0; i < l.count; ++i) free(l.part[i].before);
    service_close(&v);
    return ok;
}

static int check_repeat(bench *b) {
    static const int threads[] = {1, 2, 5, MANY_THREADS};
    int ok = 1;
    for (int i = 0; i < 4 && ok; ++i) ok = repeat_under(b, threads[i], 0);
    return ok && repeat_under(b, MANY_THREADS, 1) && check_disjoint(b);
}

/* An allocator that fails at its k-th call and counts what is out. */
typedef struct meter {
    int calls, fail_at, out;
} meter;

static void *metered_alloc(void *user, size_t align, size_t bytes) {
    meter *m = (meter *)user;
    void *p = NULL;
    if (m->calls++ == m->fail_at || posix_memalign(&p, align, bytes)) return NULL;
    ++m->out;
    return p;
}

static void metered_free(void *user, void *p) {
    if (p) --((meter *)user)->out;
    free(p);
}

/* The whole way to an output with an allocator that fails at call k, for k = 0, 1, .. until that is never reached. */
static int check_allocator(bench *b) {
    for (int k = 0; k < 1000; ++k) {
        meter m = {0, 0, 0};
        hconv_context_options options = options_of(1, 1);
        hconv_status status;
        service v;
        m.fail_at = k;
        options.user = &m, options.alloc = metered_alloc, options.free = metered_free;
        snprintf(b->s->doing, sizeof b->s->doing, "allocation %d fails", k + 1);
        status = service_open(&v, b->t, &options, NULL, 0);
        if (!status) {
            place_all(b, (placement){1, 0});
            status = call(b, &v, NULL, 0);
        }
        service_close(&v);
        if (m.out) return failed(b->s, "%s: memory is lost%s", b->s->doing, "");
        if (m.calls <= k)
            return status ? failed(b->s, "without a workspace hconv_run says %s%s", hconv_status_name(status), "")
                          : same_outputs(b);
        if (status != HCONV_OUT_OF_MEMORY)
            return failed(b->s, "%s: the answer is %s, not out of memory", b->s->doing, hconv_status_name(status));
    }
    return failed(b->s, "one run takes more than %s allocations%s", "1000", "");
}

static int check_workspace(bench *b, const service *v) {
    static const int contents[] = {0x00, 0xff, 0x7f, 0x3f};
    placement where = {1, 0};
    hconv_status status;
    for (size_t i = 0; i < sizeof contents / sizeof *contents; ++i) {
        snprintf(b->s->doing, sizeof b->s->doing, "workspace full of bytes 0x%02x", (unsigned)contents[i]);
        if (!workspace_make(b, v, where)) return 0;
        place_all(b, where);
        memset(b->workspace.data, contents[i], b->workspace.bytes);
        status = call(b, v, b->workspace.data, b->workspace.bytes);
        if (status) return failed(b->s, "%s: hconv_run says %s", b->s->doing, hconv_status_name(status));
        if (!check_memory(b) || !same_outputs(b)) return 0;
    }
    if (b->workspace.bytes) {
        snprintf(b->s->doing, sizeof b->s->doing, "workspace one byte too small");
        status = call(b, v, b->workspace.data, b->workspace.bytes - 1);
        if (status != HCONV_INVALID_ARGUMENT)
            return failed(b->s, "%s: hconv_run says %s", b->s->doing, hconv_status_name(status));
    }
    return check_allocator(b);
}

/* ---- timing */

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static double batch_ns(const bench *b, const service *v, int runs) {
    double start = now_ns();
    for (int i = 0; i < runs; ++i) call(b, v, b->workspace.data, b->workspace.bytes);
    return (now_ns() - start) / runs;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Warm: the batch grows until it takes 100 microseconds, which also fills the caches. */
static int measure(bench *b, const service *v) {
    int runs = 1, rounds = b->t->rounds;
    double *times = (double *)malloc((size_t)rounds * sizeof *times);
    placement where = {0, 0};
    if (!times) return failed(b->s, "no memory for the times%s%s", "", "");
    doing(b, "timing", where);
    if (!run_guarded(b, v, where)) return free(times), 0;
    batch_ns(b, v, 1);
    while (runs < 1000000 && batch_ns(b, v, runs) * runs < 1e5) runs *= 2;
    for (int i = 0; i < rounds; ++i) times[i] = batch_ns(b, v, runs);
    qsort(times, (size_t)rounds, sizeof *times, compare_doubles);
    b->s->result.rounds = rounds;
    b->s->result.min_ns = times[0];
    b->s->result.median_ns = rounds % 2 ? times[rounds / 2] : (times[rounds / 2 - 1] + times[rounds / 2]) / 2;
    free(times);
    return 1;
}

/* ---- the process of its own */

/* May this kernel be refused here? The CPU lacks something, or the sizes are below what its row states. Any other
 * refusal is a failure. */
static int may_be_refused(const hconv_trial *t) {
    const hconv_kernel *k = t->kernel;
    hconv_tensor_list list;
    hconv_variant_of(t->problem)->family->tensors(t->problem, &list);
    for (int i = 0; i < list.count; ++i)
        if (list.at[i].role == HCONV_OUTPUT && list.at[i].rank == 4 &&
            (list.at[i].extent[2] < k->min_h || list.at[i].extent[3] < k->min_w))
            return 1;
    return (k->cpu_features & ~hconv_cpu_features()) != 0;
}

/* Where timed threads run: those made while the caller waits are kept off the first core, and the caller then on it.
 * Left alone, a system may keep two that wait for one another on one core for many rounds. */
static void share_cores(const hconv_trial *t, int caller) {
#if defined(__linux__)
    static cpu_set_t first, others;
    int core = 0;
    if (!t->rounds || t->threads < 2) return;
    if (!caller) {
        if (sched_getaffinity(0, sizeof others, &others) || CPU_COUNT(&others) < t->threads) return;
        while (!CPU_ISSET(core, &others)) ++core;
        CPU_CLR(core, &others);
        CPU_SET(core, &first);
    }
    if (CPU_COUNT(&first)) sched_setaffinity(0, sizeof first, caller ? &first : &others);
#else
    (void)t, (void)caller;
#endif
}

static void run_all(const hconv_trial *t, shared *s) {
    hconv_context_options options = options_of(t->threads > 0 ? t->threads : 1, 0);
    hconv_trial_result *r = &s->result;
    service v;
    bench b;
    hconv_status status;
    snprintf(s->doing, sizeof s->doing, "making a plan");
    if (t->kernel->cpu_features & HCONV_DEVICE_CUDA) {
        hconv_trial_on_device(t, r, s->doing, s->output);
        return;
    }
    share_cores(t, 0);
    status = service_open(&v, t, &options, r->sentence, sizeof r->sentence);
    share_cores(t, 1);
    if (status) {
        r->outcome = status == HCONV_UNSUPPORTED && may_be_refused(t) ? HCONV_SKIPPED : HCONV_FAILED;
        service_close(&v);
        return;
    }
    r->workspace_bytes = v.info.workspace_bytes, r->packed_bytes = v.info.packed_bytes;
    r->flops = v.info.flops, r->bytes_moved = v.info.bytes_moved;
    snprintf(s->doing, sizeof s->doing, "packing the parameters");
    if (bench_make(&b, t, s, &v) && plain_run(&b, &v) && (!(t->checks & HCONV_TRIAL_BOUNDS) || check_bounds(&b, &v)) &&
        (!(t->checks & HCONV_TRIAL_REPEAT) || check_repeat(&b)) &&
        (!(t->checks & HCONV_TRIAL_WORKSPACE) || check_workspace(&b, &v)) && (!t->rounds || measure(&b, &v)))
        r->outcome = HCONV_PASSED;
    bench_free(&b);
    service_close(&v);
}

static shared *crash_report; /* of the trial's own process, where the signal handler finds it */

static void on_fault(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    crash_report->fault = (uintptr_t)info->si_addr;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void watch_faults(shared *s) {
    static const int signals[] = {SIGSEGV, SIGBUS};
    struct sigaction action;
    crash_report = s;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    for (int i = 0; i < 2; ++i) sigaction(signals[i], &action, NULL);
}

/* The sentence of a process that a signal ended. */
static void describe_crash(shared *s, int signal_number, int limit_seconds) {
    char where[160] = "";
    size_t page = page_bytes();
    for (int i = 0; i < s->region_count && s->fault; ++i) {
        uintptr_t begin = s->regions[i].begin, end = s->regions[i].end;
        if (s->fault + page + LINE < begin || s->fault >= end + page + LINE) continue;
        if (s->fault < begin)
            snprintf(where, sizeof where, ": touched %lu bytes before %s", (unsigned long)(begin - s->fault),
                     s->regions[i].name);
        else if (s->fault >= end)
            snprintf(where, sizeof where, ": touched %s %lu bytes behind its end", s->regions[i].name,
                     (unsigned long)(s->fault - end));
        else snprintf(where, sizeof where, ": wrote into %s", s->regions[i].name);
    }
    s->result.outcome = HCONV_FAILED;
    if (signal_number == SIGALRM)
        hconv_sentence(s->result.sentence, sizeof s->result.sentence, "%s: not done after %d s", s->doing,
                       limit_seconds);
    else
        hconv_sentence(s->result.sentence, sizeof s->result.sentence, "%s: killed by signal %d%s", s->doing,
                       signal_number, where);
}

static size_t output_bytes_of(const hconv_problem *p) {
    hconv_tensor_list list;
    size_t bytes = 0;
    hconv_variant_of(p)->family->tensors(p, &list);
    for (int i = 0; i < list.count; ++i)
        if (list.at[i].role == HCONV_OUTPUT) bytes += bytes_of(&list.at[i]);
    return bytes;
}

hconv_trial_result *hconv_trial_run(const hconv_trial *t) {
    size_t output_bytes = output_bytes_of(t->problem);
    int limit_seconds = t->limit_seconds > 0 ? t->limit_seconds : 60, how = 0;
    shared *s =
        (shared *)mmap(NULL, sizeof *s + output_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child, waited;
    if (s == MAP_FAILED) return NULL;
    s->result.outcome = HCONV_FAILED;
    s->result.output_bytes = output_bytes;
    s->result.output = s->output;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        alarm((unsigned)limit_seconds);
        watch_faults(s);
        run_all(t, s);
        _exit(0);
    }
    do waited = child < 0 ? -1 : waitpid(child, &how, 0);
    while (waited < 0 && child > 0 && errno == EINTR);
    if (waited < 0) failed(s, "no process for the trial: %s%s", strerror(errno), "");
    else if (WIFSIGNALED(how)) describe_crash(s, WTERMSIG(how), limit_seconds);
    return &s->result;
}

void hconv_trial_free(hconv_trial_result *r) {
    if (r) munmap(r, sizeof(shared) + r->output_bytes);
}
