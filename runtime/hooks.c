/* hooks.c - the few functions a kernel calls back: parallel loops and scratch memory. The kernel's user_context is an
 * hconv_worker; nothing here is global.
 * SPDX-License-Identifier: MIT
 * The names carry the library ABI (1), so libraries of several versions and Halide's own runtime live in one program. */
#include "internal.h"

int hconv1_do_par_for(void *user_context, int (*task)(void *, int, uint8_t *), int min, int count, uint8_t *closure);
void *hconv1_malloc(void *user_context, size_t bytes);
void hconv1_free(void *user_context, void *ptr);

typedef struct hconv_block { /* in front of every allocation, HCONV_ALIGN bytes */
    struct hconv_block *before;
    size_t start;
    int freed;
} block;

void hconv_worker_init(hconv_worker *w, hconv_run_record *run, char *base, size_t size) {
    w->run = run;
    w->base = base;
    w->size = size;
    w->top = 0;
    w->last = NULL;
    w->inside_task = 0;
}

void hconv_run_fail(hconv_run_record *run, hconv_status status) {
    int none = HCONV_OK;
    __atomic_compare_exchange_n(&run->error, &none, (int)status, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Halide frees early, not in reverse order: a block leaves the stack once all blocks above it are freed. The emitted size
 * counts every allocation whose scope is open, so the stack cannot outgrow it; should it, the heap serves and the run is
 * reported as HCONV_INTERNAL. */
void *hconv1_malloc(void *user_context, size_t bytes) {
    hconv_worker *w = (hconv_worker *)user_context;
    size_t need = HCONV_ALIGN + hconv_align_up(bytes);
    block *b;
    if (w->run->device && !bytes) return w; /* a CUDA kernel's scratch has no part in host memory */
    if (need < bytes || need > w->size - w->top) {
        hconv_run_fail(w->run, HCONV_INTERNAL);
        return hconv_context_alloc(w->run->plan->context, bytes);
    }
    b = (block *)(void *)(w->base + w->top);
    b->before = w->last;
    b->start = w->top;
    b->freed = 0;
    w->last = b;
    w->top += need;
    return (char *)b + HCONV_ALIGN;
}

void hconv1_free(void *user_context, void *ptr) {
    hconv_worker *w = (hconv_worker *)user_context;
    if (!ptr || ptr == user_context) return;
    if ((char *)ptr < w->base || (char *)ptr >= w->base + w->size) {
        hconv_context_free(w->run->plan->context, ptr);
        return;
    }
    ((block *)(void *)((char *)ptr - HCONV_ALIGN))->freed = 1;
    for (; w->last && w->last->freed; w->last = w->last->before) w->top = w->last->start;
}

static hconv_worker *worker_of(const hconv_loop *l, int j) {
    return (hconv_worker *)(void *)(l->run->slots + (size_t)j * l->run->plan->slot_bytes);
}

void hconv_loop_share(const hconv_loop *l, int first, int count) {
    for (int j = 0; j < l->workers; ++j) {
        worker_of(l, j)->next = first + (int)((int64_t)count * j / l->workers);
        worker_of(l, j)->end = first + (int)((int64_t)count * (j + 1) / l->workers);
    }
}

/* Worker j: its own share, whose tensors its core's cache holds from the run before, then what is left of the others'. */
static int loop_worker(void *arg, int j) {
    const hconv_loop *l = (const hconv_loop *)arg;
    hconv_worker *w = worker_of(l, j);
    hconv_worker_init(w, l->run, (char *)w + HCONV_ALIGN, l->run->plan->slot_bytes - HCONV_ALIGN);
    w->inside_task = 1;
    for (int k = 0; k < l->workers; ++k) {
        hconv_worker *of = worker_of(l, (j + k) % l->workers);
        for (int i; (i = __atomic_fetch_add(&of->next, 1, __ATOMIC_RELAXED)) < of->end;) {
            if (l->task(w, l->min + i, l->closure)) {
                hconv_run_fail(l->run, HCONV_INTERNAL);
                return 1;
            }
        }
    }
    return 0;
}

int hconv1_do_par_for(void *user_context, int (*task)(void *, int, uint8_t *), int min, int count, uint8_t *closure) {
    hconv_worker *w = (hconv_worker *)user_context;
    const hconv_context *ctx = w->run->plan->context;
    hconv_loop l;
    if (w->inside_task) {
        for (int i = 0; i < count; ++i)
            if (task(w, min + i, closure)) return -1;
        return 0;
    }
    if (count < 1) return 0;
    l.run = w->run, l.task = task, l.closure = closure;
    l.min = min, l.count = count;
    l.workers = count < w->run->worker_count ? count : w->run->worker_count;
    hconv_loop_share(&l, 0, count);
    if (l.workers == 1) return loop_worker(&l, 0) ? -1 : 0;
    if (ctx->options.parallel_for) {
        if (ctx->options.parallel_for(ctx->options.user, l.workers, loop_worker, &l)) hconv_run_fail(w->run, HCONV_INTERNAL);
    } else {
        hconv_pool_parallel_for(ctx->pool, l.workers, loop_worker, &l);
    }
    return w->run->error ? -1 : 0;
}
