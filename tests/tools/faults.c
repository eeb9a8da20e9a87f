/* faults.c - a library to preload that makes one call of a program fail: the FAULT_AT-th allocation, or the FAULT_AT-th call
 * that changes files. It counts from main on.
 * SPDX-License-Identifier: MIT
 * FAULT_KIND: memory, or files. FAULT_ERRNO: what errno becomes; 0 makes a write short instead of failing. FAULT_ON: also every
 * later call fails. FAULT_CHILDREN: programs that are started fail too, each by its own count. FAULT_REPORT: a file that gets
 * the number of calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *ptr, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static long fault_at, seen;
static int armed, memory, error_number, goes_on;
static char report[512];

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

__attribute__((constructor)) static void configure(void) {
    const char *kind = getenv("FAULT_KIND"), *path = getenv("FAULT_REPORT");
    if (!kind) return;
    memory = !strcmp(kind, "memory");
    fault_at = number("FAULT_AT"), error_number = number("FAULT_ERRNO"), goes_on = number("FAULT_ON");
    if (path && strlen(path) < sizeof report) strcpy(report, path);
    if (number("FAULT_CHILDREN")) return;
    for (const char *const *name = (const char *const[]){"LD_PRELOAD", "FAULT_KIND", "FAULT_REPORT", NULL}; *name; ++name)
        unsetenv(*name);
}

static void write_report(void) {
    char text[32];
    int fd = report[0] ? (int)syscall(SYS_openat, AT_FDCWD, report, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    armed = 0;
    if (fd < 0) return;
    snprintf(text, sizeof text, "%ld\n", seen);
    syscall(SYS_write, fd, text, strlen(text));
    syscall(SYS_close, fd);
}

static int (*real_main)(int, char **, char **);
static int counted_main(int argc, char **argv, char **environment) {
    int status;
    armed = fault_at || report[0];
    status = real_main(argc, argv, environment);
    write_report();
    return status;
}

int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end) {
    int (*start)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
    *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = program;
    return start(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

/* Is this the call that fails? */
static int fails(int of_memory) {
    long n;
    if (!armed || memory != of_memory) return 0;
    n = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
    if (!fault_at || (goes_on ? n < fault_at : n != fault_at)) return 0;
    errno = of_memory ? ENOMEM : error_number;
    return 1;
}

void *malloc(size_t bytes) { return fails(1) ? NULL : __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return fails(1) ? NULL : __libc_calloc(count, bytes); }
void *realloc(void *ptr, size_t bytes) { return fails(1) ? NULL : __libc_realloc(ptr, bytes); }
void *aligned_alloc(size_t align, size_t bytes) { return fails(1) ? NULL : __libc_memalign(align, bytes); }
int posix_memalign(void **out, size_t align, size_t bytes) {
    if (fails(1)) return ENOMEM;
    *out = __libc_memalign(align, bytes);
    return *out ? 0 : ENOMEM;
}

static void *next(const char *name) {
    int were = armed;
    void *found;
    armed = 0;
    found = dlsym(RTLD_NEXT, name);
    armed = were;
    return found;
}

static int on_a_file(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}

/* errno 0: half of it is written. */
static ssize_t faulty_write(int fd, const void *data, size_t bytes) {
    if (bytes && armed && on_a_file(fd) && fails(0)) {
        if (error_number || bytes < 2) return errno = error_number ? error_number : EIO, -1;
        bytes /= 2;
    }
    return syscall(SYS_write, fd, data, bytes);
}
ssize_t write(int fd, const void *data, size_t bytes) { return faulty_write(fd, data, bytes); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    for (int i = 0; i < count; ++i)
        if (parts[i].iov_len) return faulty_write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    const int changes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    if (changes && error_number && strncmp(path, "/dev/", 5) && fails(0)) return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}
static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0; }
int open(const char *path, int flags, ...) {
    va_list rest;
    int fd;
    va_start(rest, flags);
    fd = opened(AT_FDCWD, path, flags, mode_of(flags, rest));
    va_end(rest);
    return fd;
}
int open64(const char *path, int flags, ...) {
    va_list rest;
    int fd;
    va_start(rest, flags);
    fd = opened(AT_FDCWD, path, flags | O_LARGEFILE, mode_of(flags, rest));
    va_end(rest);
    return fd;
}

FILE *fopen(const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *);
    if (mode[0] != 'r' && error_number && fails(0)) return NULL;
    *(void **)&real = next("fopen");
    return real(path, mode);
}
FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

int mkdir(const char *path, mode_t mode) { return error_number && fails(0) ? -1 : (int)syscall(SYS_mkdir, path, mode); }
char *mkdtemp(char *pattern) {
    char *(*real)(char *);
    if (error_number && fails(0)) return NULL;
    *(void **)&real = next("mkdtemp");
    return real(pattern);
}
int rename(const char *from, const char *to) { return error_number && fails(0) ? -1 : (int)syscall(SYS_rename, from, to); }
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return error_number && fails(0) ? -1 : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}
int close(int fd) { /* what was written may turn out lost only now */
    const int lost = armed && fd > 2 && error_number && on_a_file(fd) && fails(0);
    const int status = (int)syscall(SYS_close, fd);
    return lost ? errno = error_number, -1 : status;
}
