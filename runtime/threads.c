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
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t *threads;
    int thread_count, stop;
    /* The job: task numbers next .. count-1 are still to be taken, active workers are inside a task. */
    int busy, next, count, active, error;
    int spins;       /* looks before sleeping; 0 where threads outnumber cores */
    unsigned starts, ends; /* change, under the lock, when a job or the end of the pool starts; when a job's last task ends */
    int (*task)(void *arg, int i);
    void *arg;
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

static void announce(unsigned *word) { __atomic_fetch_add(word, 1, __ATOMIC_RELEASE); }

/* Called and left with the lock held: lets go of it until the word changes, for a bounded time. */
static void look(hconv_pool *pool, const unsigned *word) {
    unsigned seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->spins && __atomic_load_n(word, __ATOMIC_ACQUIRE) == seen; ++i) relax();
    pthread_mutex_lock(&pool->lock);
}

/* Takes tasks until none is left; the lock is held on entry and on return. */
static void work(hconv_pool *pool) {
    while (pool->next < pool->count) {
        int i = pool->next++, error;
        ++pool->active;
        pthread_mutex_unlock(&pool->lock);
        error = pool->task(pool->arg, i);
        pthread_mutex_lock(&pool->lock);
        if (error && !pool->error) pool->error = error;
        if (--pool->active == 0 && pool->next == pool->count) {
            announce(&pool->ends);
            pthread_cond_signal(&pool->done);
        }
    }
}

static void *worker_main(void *arg) {
    hconv_pool *pool = (hconv_pool *)arg;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        if (pool->next == pool->count) look(pool, &pool->starts);
        if (pool->next < pool->count) work(pool);
        else if (!pool->stop) pthread_cond_wait(&pool->wake, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
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
    pthread_mutex_lock(&pool->lock);
    pool->stop = 1;
    announce(&pool->starts);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->thread_count; ++i) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

int hconv_pool_parallel_for(hconv_pool *pool, int count, int (*task)(void *arg, int i), void *arg) {
    int error = 0;
    pthread_mutex_lock(&pool->lock);
    if (pool->busy) {
        pthread_mutex_unlock(&pool->lock);
        for (int i = 0; i < count; ++i) {
            int failed = task(arg, i);
            if (!error) error = failed;
        }
        return error;
    }
    pool->busy = 1;
    pool->task = task, pool->arg = arg;
    pool->error = 0, pool->active = 0, pool->next = 0, pool->count = count;
    announce(&pool->starts);
    pthread_cond_broadcast(&pool->wake);
    work(pool);
    if (pool->active) look(pool, &pool->ends);
    while (pool->active) pthread_cond_wait(&pool->done, &pool->lock);
    error = pool->error;
    pool->count = pool->next = 0;
    pool->busy = 0;
    pthread_mutex_unlock(&pool->lock);
    return error;
}

#endif
