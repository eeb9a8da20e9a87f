// counted_malloc.h - the C library's allocator, counted and made to fail, for programs that link counted_malloc.cpp: what
// does not go through an application's own allocator shows up here.
// SPDX-License-Identifier: MIT
#pragma once

namespace hconv::test {

// False under a sanitizer, which brings an allocator of its own: nothing is counted and nothing fails then.
bool malloc_is_counted();
// Allocations since the program began, by any thread.
long allocations();
// The k-th allocation of this thread from now on (from 1) fails, once; 0: none.
void fail_allocation(int k);
// Was it reached?
bool allocation_failed();
// pthread_create fails after this many more threads; -1: never.
void fail_threads_after(int count);

} // namespace hconv::test
