// counted_malloc.cpp - see counted_malloc.h. The C library's functions under their own names stand behind __libc_*.
// SPDX-License-Identifier: MIT
#include "counted_malloc.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <dlfcn.h>
#include <pthread.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTED 1
#else
#define COUNTED 0
#endif

namespace hconv::test {

static std::atomic<long> count{0};
static std::atomic<int> threads_left{-1};
static thread_local int fail_in = 0;
static thread_local bool failed = false;

bool malloc_is_counted() { return COUNTED; }
long allocations() { return count; }
void fail_allocation(int k) { fail_in = k, failed = false; }
bool allocation_failed() { return failed; }
void fail_threads_after(int n) { threads_left = n; }

#if COUNTED
static bool refused() {
    ++count;
    if (fail_in == 0 || --fail_in != 0) return false;
    errno = ENOMEM;
    return failed = true;
}
#endif

} // namespace hconv::test

#if COUNTED
using hconv::test::refused;

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t bytes) { return refused() ? nullptr : __libc_malloc(bytes); }
void *calloc(size_t n, size_t bytes) { return refused() ? nullptr : __libc_calloc(n, bytes); }
void *realloc(void *p, size_t bytes) { return refused() ? nullptr : __libc_realloc(p, bytes); }
void *memalign(size_t align, size_t bytes) { return refused() ? nullptr : __libc_memalign(align, bytes); }
void *aligned_alloc(size_t align, size_t bytes) { return refused() ? nullptr : __libc_memalign(align, bytes); }
int posix_memalign(void **to, size_t align, size_t bytes) {
    *to = refused() ? nullptr : __libc_memalign(align, bytes);
    return *to ? 0 : ENOMEM;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg) {
    using Create = int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    if (hconv::test::threads_left == 0) return EAGAIN;
    if (hconv::test::threads_left > 0) --hconv::test::threads_left;
    return create(thread, attributes, start, arg);
}
}
#endif
