/* threads.c - the built-in pool, used only when the application injects no parallel_for. One job at a time: a caller that
 * finds the pool busy runs its tasks itself. Whoever waits looks for work for a while before it sleeps: layers follow one
 * another within microseconds, and waking a thread costs more than a small layer.
 * SPDX-License-Identifier: MIT */
#include "internal.h"

#if defined(_WIN32)

/* The built-in pool needs POSIX threads; elsewhere applications bring their own parallel_for. */
hconv_pool *hconv_pool_create(int threads) { (void)threads; return NULL; }
void hconv_pool_destroy(hconv_pool *pool) { (void)pool; }
int hconv_pool_cores(void) { return 1; }
int hconv_pool_parallel_for(hconv_pool *pool, int count, int (*task)(void *arg, int i), void *arg) {
    int error = 0;
    (void)pool;
    for (int i = 0; i < count; ++i) error |= task(arg, i);
    return error;
}

#else

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { kSpins = 4096 }; /* about 0.1 ms */

struct hconv_pool {
    /* The job. Everything but the two counters is written while no task can be taken. */
    int (*task)(void *arg, int i);
    void *arg;
    int count, error;
    int busy;
    char apart_from_job[HCONV_ALIGN];
    int left;       /* tasks that nobody has taken */
    char apart_from_left[HCONV_ALIGN];
    int unfinished; /* tasks that have not ended */
    char apart_from_unfinished[HCONV_ALIGN];
    /* For those who sleep. */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    int sleepers, caller_sleeps, stop;
    pthread_t *threads;
    int thread_count;
    int spins;      /* looks before sleeping; 0 where threads outnumber cores */
};

int hconv_pool_cores(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 4096 ? 4096 : (int)cores;
}

/* A hint that this core waits; takes some tens of nanoseconds on x86. */
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb");
#endif
}

static int load(const int *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static void store(int *word, int value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

/* The number of a task that is the taker's from now on; -1: none is left. A job cannot end before it, so what was written of the
 * job before left is this job's. */
static int take(hconv_pool *pool) {
    int left = load(&pool->left);
    while (left > 0)
        if (__atomic_compare_exchange_n(&pool->left, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return pool->count - left;
    return -1;
}

/* Does task i; whoever ends the last one wakes the caller. */
static void work(hconv_pool *pool, int i) {
    int none = 0, error = pool->task(pool->arg, i);
    if (error) __atomic_compare_exchange_n(&pool->error, &none, error, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    if (__atomic_sub_fetch(&pool->unfinished, 1, __ATOMIC_SEQ_CST) || !load(&pool->caller_sleeps)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

static void sleep_until_work(hconv_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    store(&pool->sleepers, pool->sleepers + 1);
    while (!load(&pool->left) && !load(&pool->stop)) pthread_cond_wait(&pool->wake, &pool->lock);
    store(&pool->sleepers, pool->sleepers - 1);
    pthread_mutex_unlock(&pool->lock);
}

/* Behind what it is woken for: either the sleeper counts itself and sees that, or it is seen here. */
static void wake_sleepers(hconv_pool *pool) {
    if (!load(&pool->sleepers)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg) {
    hconv_pool *pool = (hconv_pool *)arg;
    while (!load(&pool->stop)) {
        for (int i = 0; i < pool->spins && !load(&pool->left) && !load(&pool->stop); ++i) relax();
        int i = take(pool);
        if (i >= 0) work(pool, i);
        else sleep_until_work(pool);
    }
    return NULL;
}

hconv_pool *hconv_pool_create(int threads) {
    hconv_pool *pool = (hconv_pool *)calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->threads = (pthread_t *)calloc((size_t)threads, sizeof *pool->threads);
    if (!pool->threads || pthread_mutex_init(&pool->lock, NULL) || pthread_cond_init(&pool->wake, NULL) ||
        pthread_cond_init(&pool->done, NULL)) {
        free(pool->threads);
        free(pool);
        return NULL;
    }
    pool->spins = threads <= hconv_pool_cores() ? kSpins : 0;
    while (pool->thread_count < threads - 1 &&
           !pthread_create(&pool->threads[pool->thread_count], NULL, worker_main, pool))
        ++pool->thread_count;
    return pool;
}

void hconv_pool_destroy(hconv_pool *pool) {
    if (!pool) return;
    store(&pool->stop, 1);
    wake_sleepers(pool);
    for (int i = 0; i < pool->thread_count; ++i) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

static void wait_for_the_last(hconv_pool *pool) {
    for (int i = 0; i < pool->spins && load(&pool->unfinished); ++i) relax();
    if (!load(&pool->unfinished)) return;
    pthread_mutex_lock(&pool->lock);
    store(&pool->caller_sleeps, 1);
    while (load(&pool->unfinished)) pthread_cond_wait(&pool->done, &pool->lock);
    store(&pool->caller_sleeps, 0);
    pthread_mutex_unlock(&pool->lock);
}

int hconv_pool_parallel_for(hconv_pool *pool, int count, int (*task)(void *arg, int i), void *arg) {
    int error = 0;
    if (count < 1) return 0;
    if (__atomic_exchange_n(&pool->busy, 1, __ATOMIC_SEQ_CST)) {
        for (int i = 0; i < count; ++i) {
            int failed = task(arg, i);
            if (!error) error = failed;
        }
        return error;
    }
    pool->task = task, pool->arg = arg, pool->count = count, pool->error = 0;
    store(&pool->unfinished, count);
    store(&pool->left, count - 1); /* task 0 is the caller's: from run to run the same core does the same */
    if (count > 1) wake_sleepers(pool);
    for (int i = 0; i >= 0; i = take(pool)) work(pool, i);
    wait_for_the_last(pool);
    error = pool->error;
    store(&pool->busy, 0);
    return error;
}

#endif
