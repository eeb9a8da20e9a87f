/* support.h - what every file of the program needs: memory, the clock, and a way out when something is wrong.
 * SPDX-License-Identifier: MIT */
#ifndef FACE_DETECT_SUPPORT_H
#define FACE_DETECT_SUPPORT_H

#include <stddef.h>

void fail(const char *format, ...);                     /* prints the sentence, ends the program with 1 */
void *allocate(size_t count, size_t size);              /* 64-byte aligned; never NULL; release with free() */
void *grow(void *old, size_t count, size_t size);       /* realloc that never returns NULL */
double seconds(void);                                   /* a clock that only moves forward */

#endif
