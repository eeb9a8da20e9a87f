/* sanitizer_calls.c - what kernels under clang's thread sanitizer call and gcc's library lacks: the plain functions, which it
 * intercepts.
 * SPDX-License-Identifier: MIT */
#include <string.h>

void *__tsan_memset(void *to, int value, size_t bytes);
void *__tsan_memcpy(void *to, const void *from, size_t bytes);
void *__tsan_memmove(void *to, const void *from, size_t bytes);

void *__tsan_memset(void *to, int value, size_t bytes) { return memset(to, value, bytes); }
void *__tsan_memcpy(void *to, const void *from, size_t bytes) { return memcpy(to, from, bytes); }
void *__tsan_memmove(void *to, const void *from, size_t bytes) { return memmove(to, from, bytes); }
