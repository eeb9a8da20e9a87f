/* context.c - services (memory, threads, log) and the list of linked libraries.
 * SPDX-License-Identifier: MIT */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>
#endif

uint32_t hconv_version(void) { return HCONV_VERSION; }

const char *hconv_status_name(hconv_status status) {
    static const char *const names[] = {"ok",           "invalid argument", "unsupported", "out of memory",
                                        "abi mismatch", "device error",     "internal error"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "no such status";
}

/* aligned_alloc is C11 and missing on some systems: over-allocate and keep the original pointer just before. */
static void *default_alloc(void *user, size_t align, size_t bytes) {
    char *raw, *aligned;
    (void)user;
    if (bytes > SIZE_MAX - align - sizeof raw) return NULL;
    raw = (char *)malloc(bytes + align + sizeof raw); /* cppcheck-suppress pointerSize */
    if (!raw) return NULL;
    aligned = raw + sizeof raw;
    aligned += (align - (uintptr_t)aligned % align) % align;
    memcpy(aligned - sizeof raw, &raw, sizeof raw);
    return aligned;
}

static void default_free(void *user, void *ptr) {
    char *raw;
    (void)user;
    if (!ptr) return;
    memcpy(&raw, (char *)ptr - sizeof raw, sizeof raw);
    free(raw);
}

void *hconv_context_alloc(const hconv_context *ctx, size_t bytes) {
    return ctx->options.alloc(ctx->options.user, HCONV_ALIGN, bytes ? bytes : 1);
}

void hconv_context_free(const hconv_context *ctx, void *ptr) {
    if (ptr) ctx->options.free(ctx->options.user, ptr);
}

void hconv_context_log(const hconv_context *ctx, int level, const char *message) {
    if (ctx->options.log) ctx->options.log(ctx->options.user, level, message);
}

#if defined(__x86_64__) || defined(__i386__)
static uint64_t enabled_states(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

uint64_t hconv_cpu_features(void) {
    enum { SSE41 = 1 << 19, FMA = 1 << 12, OSXSAVE = 1 << 27, AVX = 1 << 28, F16C = 1 << 29 };
    enum { AVX2 = 1 << 5, F = 1 << 16, DQ = 1 << 17, CD = 1 << 28, BW = 1 << 30 };
    const uint32_t avx = FMA | OSXSAVE | AVX | F16C, avx512 = (uint32_t)F | DQ | CD | BW | (1u << 31) /* VL */;
    uint32_t a, b, c, d, b7 = 0, c7, d7;
    uint64_t features = 0, states = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (c & SSE41) features |= HCONV_CPU_SSE41;
    if (c & OSXSAVE) states = enabled_states();
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) b7 = 0;
    if ((c & avx) == avx && b7 & AVX2 && (states & 6) == 6) features |= HCONV_CPU_AVX2;
    if (features & HCONV_CPU_AVX2 && (b7 & avx512) == avx512 && (states & 0xe6) == 0xe6) features |= HCONV_CPU_AVX512;
    return features;
}
#elif defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
/* The kernel's list of what the CPU has. 64 bits: HWCAP_ASIMD. 32 bits: HWCAP_NEON. */
uint64_t hconv_cpu_features(void) {
    enum { ASIMD = 1 << 1, NEON = 1 << 12 };
    const unsigned long neon = sizeof(void *) == 8 ? ASIMD : NEON;
    return (getauxval(AT_HWCAP) & neon) == neon ? HCONV_CPU_NEON : 0;
}
#elif defined(__aarch64__) || defined(_M_ARM64)
uint64_t hconv_cpu_features(void) { return HCONV_CPU_NEON; }
#else
uint64_t hconv_cpu_features(void) { return 0; }
#endif

static const hconv_struct options_struct = {"hconv_context_options", offsetof(hconv_context_options, isa),
                                            sizeof(hconv_context_options)};

static hconv_status check_options(const hconv_context_options *o, char *why, size_t why_bytes) {
    if (!o->alloc != !o->free) {
        hconv_sentence(why, why_bytes, "give both alloc and free, or neither");
    } else if (o->num_threads < 0 || o->num_threads > 4096) {
        hconv_sentence(why, why_bytes, "num_threads is %d; it must be 0 (all cores) to 4096", (int)o->num_threads);
    } else if (o->parallel_for && o->num_threads < 1) {
        hconv_sentence(why, why_bytes, "with your own parallel_for, say num_threads: the workspace is sized by it");
    } else if (o->isa && strlen(o->isa) >= sizeof((hconv_context *)0)->isa) {
        hconv_sentence(why, why_bytes, "isa '%.20s...' is no level: sse41, avx2, avx512, neon or cuda", o->isa);
    } else {
        return HCONV_OK;
    }
    return HCONV_INVALID_ARGUMENT;
}

hconv_status hconv_context_create(const hconv_context_options *options, hconv_context **out, char *why, size_t why_bytes) {
    hconv_context_options o;
    hconv_context *ctx;
    if (!out) {
        hconv_sentence(why, why_bytes, "hconv_context_create needs a place for the context");
        return HCONV_INVALID_ARGUMENT;
    }
    *out = NULL;
    memset(&o, 0, sizeof o);
    o.struct_size = sizeof o;
    if (options) {
        hconv_status status = hconv_struct_read(&options_struct, options, &o, why, why_bytes);
        if (!status) status = check_options(&o, why, why_bytes);
        if (status) return status;
    }
    if (!o.alloc) o.alloc = default_alloc, o.free = default_free;
    if (!o.num_threads) o.num_threads = hconv_pool_cores();
    ctx = (hconv_context *)o.alloc(o.user, HCONV_ALIGN, sizeof *ctx);
    if (!ctx) {
        hconv_sentence(why, why_bytes, "no memory for a context");
        return HCONV_OUT_OF_MEMORY;
    }
    memset(ctx, 0, sizeof *ctx);
    ctx->options = o;
    if (o.isa) strcpy(ctx->isa, o.isa);
    ctx->options.isa = ctx->isa;
    ctx->cpu_features = hconv_cpu_features();
    if (!o.parallel_for && o.num_threads > 1) {
        ctx->pool = hconv_pool_create(o.num_threads);
        if (!ctx->pool) {
            ctx->options.num_threads = 1;
            hconv_context_log(ctx, 1, "the thread pool could not be started: running on one thread");
        }
    }
    *out = ctx;
    return HCONV_OK;
}

void hconv_context_destroy(hconv_context *ctx) {
    if (!ctx) return;
    hconv_pool_destroy(ctx->pool);
    if (ctx->device) hconv_cuda_close(ctx, ctx->device);
    hconv_context_free(ctx, (void *)ctx->libraries);
    ctx->options.free(ctx->options.user, ctx);
}

/* Looks for a GPU, once. A failure is a reason that plans give: a CPU row may serve them. */
static void look_for_device(hconv_context *ctx, const hconv_library *library) {
    int rows = 0;
    for (uint32_t i = 0; i < library->kernel_count; ++i) rows += (library->kernels[i].cpu_features & HCONV_DEVICE_CUDA) != 0;
    if (!rows || ctx->device) return;
    hconv_sentence(ctx->device_why, sizeof ctx->device_why, "the part of the runtime that runs CUDA kernels was not linked");
    ctx->device_status = HCONV_UNSUPPORTED;
#if defined(__ELF__)
    if (!hconv_cuda_open) return;
#endif
    ctx->device_status = hconv_cuda_open(ctx, &ctx->device, ctx->device_why, sizeof ctx->device_why);
}

hconv_status hconv_context_add_library(hconv_context *ctx, const hconv_library *library) {
    const hconv_library **grown;
    if (!ctx || !library) return HCONV_INVALID_ARGUMENT;
    if (library->abi != HCONV_LIBRARY_ABI) {
        hconv_context_log(ctx, 2, "a library was made for another ABI: emit it again with this version of hconv");
        return HCONV_ABI_MISMATCH;
    }
    for (int i = 0; i < ctx->library_count; ++i)
        if (ctx->libraries[i] == library) return HCONV_OK;
    look_for_device(ctx, library);
    if (ctx->device_status == HCONV_OUT_OF_MEMORY) return HCONV_OUT_OF_MEMORY;
    grown = (const hconv_library **)hconv_context_alloc(ctx, (size_t)(ctx->library_count + 1) * sizeof *grown);
    if (!grown) return HCONV_OUT_OF_MEMORY;
    if (ctx->library_count) memcpy((void *)grown, (const void *)ctx->libraries, (size_t)ctx->library_count * sizeof *grown);
    grown[ctx->library_count++] = library;
    hconv_context_free(ctx, (void *)ctx->libraries);
    ctx->libraries = grown;
    return HCONV_OK;
}
