/* threads.c - a kernel on the application's own thread pool, from two application threads at once, on one plan.
 * SPDX-License-Identifier: MIT
 * hconv asks parallel_for to do task(arg, i) for i = 0 .. count - 1, in any order, on any threads. The result must have the same
 * bits as a run on one thread. */
#define _POSIX_C_SOURCE 200112L
#include "layers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 3, SIZE = 40, IN = 16, OUT = 32, WEIGHTS = OUT * IN * 9 };

/* One job at a time; a caller that finds the pool busy does its tasks itself, so nothing ever waits for a free worker. */
typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    int (*task)(void *arg, int i);
    void *arg;
    int next, count, running, failed, stop, jobs;
    pthread_t threads[WORKERS];
} pool;

/* With the lock held: one task after the other until none is left. */
static void do_tasks(pool *p) {
    while (p->next < p->count) {
        int i = p->next++, failed;
        ++p->running;
        pthread_mutex_unlock(&p->lock);
        failed = p->task(p->arg, i);
        pthread_mutex_lock(&p->lock);
        --p->running;
        if (failed) p->failed = failed;
    }
    if (!p->running) pthread_cond_broadcast(&p->done);
}

static void *work(void *user) {
    pool *p = (pool *)user;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        do_tasks(p);
        pthread_cond_wait(&p->wake, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int parallel_for(void *user, int count, int (*task)(void *arg, int i), void *arg) {
    pool *p = (pool *)user;
    int failed = 0;
    pthread_mutex_lock(&p->lock);
    if (p->task) { /* busy */
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < count && !failed; ++i) failed = task(arg, i);
        return failed;
    }
    p->task = task, p->arg = arg, p->count = count, p->next = p->failed = 0, ++p->jobs;
    pthread_cond_broadcast(&p->wake);
    do_tasks(p);
    while (p->running) pthread_cond_wait(&p->done, &p->lock);
    failed = p->failed;
    p->task = NULL, p->count = 0;
    pthread_mutex_unlock(&p->lock);
    return failed;
}

static float x[SIZE * SIZE * IN], weight[WEIGHTS], bias[OUT];

/* What one thread of the application runs: the plan and the blob are shared, outputs and workspace are its own. */
typedef struct caller {
    const hconv_plan *plan;
    const void *packed;
    float y[SIZE * SIZE * OUT];
    hconv_status status;
} caller;

static void *run(void *user) {
    caller *c = (caller *)user;
    const void *inputs[1];
    void *outputs[1];
    hconv_run_args args = {sizeof args};
    inputs[0] = x, outputs[0] = c->y;
    args.input_count = args.output_count = 1, args.inputs = inputs, args.outputs = outputs, args.packed = c->packed;
    for (int again = 0; again < 20 && !c->status; ++again) c->status = hconv_run(c->plan, &args); /* workspace: NULL */
    return NULL;
}

/* A context with these options, a plan, and two callers of it at once. 0: all runs were good. */
static int run_twice(const hconv_context_options *options, caller *callers) {
    char why[HCONV_WHY_BYTES] = "";
    const hconv_parameter parameters[] = {{"weight", weight, sizeof weight}, {"bias", bias, sizeof bias}};
    hconv_context *context = NULL;
    hconv_problem problem;
    hconv_plan *plan = NULL;
    hconv_plan_info info = {sizeof info};
    void *memory = NULL, *packed = NULL;
    pthread_t thread;
    hconv_status status = hconv_problem_parse("conv2d_ci16_h40_co32_k3_p1_relu", &problem, why, sizeof why);

    if (!status) status = hconv_context_create(options, &context, why, sizeof why);
    if (!status) status = hconv_context_add_library(context, &hconv_library_layers);
    if (!status) status = hconv_plan_create(context, &problem, &plan, why, sizeof why);
    if (!status) status = hconv_plan_describe(plan, &info);
    if (!status && posix_memalign(&packed, 64, info.packed_bytes)) status = HCONV_OUT_OF_MEMORY;
    memory = packed;
    if (!status) status = hconv_pack(plan, parameters, 2, packed, info.packed_bytes, why, sizeof why);
    if (status) fprintf(stderr, "%s: %s\n", hconv_status_name(status), why);
    callers[0].plan = callers[1].plan = plan, callers[0].packed = callers[1].packed = packed;
    if (!status && !pthread_create(&thread, NULL, run, &callers[1])) {
        run(&callers[0]);
        pthread_join(thread, NULL);
        status = callers[0].status ? callers[0].status : callers[1].status;
    }
    hconv_plan_destroy(plan); /* plans before their context */
    hconv_context_destroy(context);
    free(memory);
    return status != HCONV_OK;
}

int main(void) {
    static caller callers[4];
    static pool p;
    hconv_context_options serial = {sizeof serial}, own = {sizeof own};
    int failed, started = 0, same;

    for (int i = 0; i < SIZE * SIZE * IN; ++i) x[i] = (float)(i % 1013) / 1013 - 0.4f;
    for (int i = 0; i < WEIGHTS; ++i) weight[i] = (float)(i % 517) / 517 - 0.45f;
    pthread_mutex_init(&p.lock, NULL), pthread_cond_init(&p.wake, NULL), pthread_cond_init(&p.done, NULL);
    while (started < WORKERS && !pthread_create(&p.threads[started], NULL, work, &p)) ++started;
    serial.num_threads = 1;
    own.num_threads = WORKERS + 1, own.user = &p, own.parallel_for = parallel_for; /* the workers, and who calls */
    failed = run_twice(&serial, callers) | run_twice(&own, callers + 2);
    pthread_mutex_lock(&p.lock);
    p.stop = 1;
    pthread_cond_broadcast(&p.wake);
    pthread_mutex_unlock(&p.lock);
    while (started) pthread_join(p.threads[--started], NULL);
    same = 1;
    for (int c = 1; c < 4; ++c) same &= !memcmp(callers[0].y, callers[c].y, sizeof callers[c].y);
    printf("%d jobs on the application's pool; the results of %d runs %s\n", p.jobs, 80,
           same ? "have the same bits" : "differ");
    return failed || !same || !p.jobs;
}
