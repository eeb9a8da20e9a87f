/* cuda.c - the calls a CUDA kernel makes, so that archives with CUDA rows link without CUDA. Such rows are emitted and
 * assembled, but this version cannot launch them: plans refuse with a sentence.
 * SPDX-License-Identifier: MIT */
#include "internal.h"

int hconv1_cuda_initialize_kernels(void *user_context, void **state, const char *source, int bytes);
void hconv1_cuda_finalize_kernels(void *user_context, void *state);
int hconv1_cuda_run(void *user_context, void *state, const char *entry, int bx, int by, int bz, int tx, int ty, int tz,
                    int shared, size_t *sizes, void **args, int8_t *is_buffer);
const void *hconv1_cuda_device_interface(void);
int hconv1_copy_to_device(void *user_context, hconv_buffer *buffer, const void *interface);
int hconv1_copy_to_host(void *user_context, hconv_buffer *buffer);
int hconv1_device_malloc(void *user_context, hconv_buffer *buffer, const void *interface);
int hconv1_device_free(void *user_context, hconv_buffer *buffer);
void hconv1_device_free_as_destructor(void *user_context, void *buffer);
int hconv1_device_and_host_malloc(void *user_context, hconv_buffer *buffer, const void *interface);
int hconv1_device_and_host_free(void *user_context, hconv_buffer *buffer);
void hconv1_device_and_host_free_as_destructor(void *user_context, void *buffer);

int hconv_cuda_usable(char *why, size_t why_bytes) {
    hconv_sentence(why, why_bytes,
                   "this version of the hconv runtime cannot launch CUDA kernels: link a CPU kernel of the problem too");
    return 0;
}

static int refuse(void *user_context) {
    hconv_run_fail(((hconv_worker *)user_context)->run, HCONV_DEVICE_ERROR);
    return -1;
}

int hconv1_cuda_initialize_kernels(void *user_context, void **state, const char *source, int bytes) {
    (void)state, (void)source, (void)bytes;
    return refuse(user_context);
}
void hconv1_cuda_finalize_kernels(void *user_context, void *state) { (void)user_context, (void)state; }
int hconv1_cuda_run(void *user_context, void *state, const char *entry, int bx, int by, int bz, int tx, int ty, int tz,
                    int shared, size_t *sizes, void **args, int8_t *is_buffer) {
    (void)state, (void)entry, (void)bx, (void)by, (void)bz, (void)tx, (void)ty, (void)tz;
    (void)shared, (void)sizes, (void)args, (void)is_buffer;
    return refuse(user_context);
}
const void *hconv1_cuda_device_interface(void) { return NULL; }
int hconv1_copy_to_device(void *user_context, hconv_buffer *buffer, const void *interface) {
    (void)buffer, (void)interface;
    return refuse(user_context);
}
int hconv1_copy_to_host(void *user_context, hconv_buffer *buffer) { (void)buffer; return refuse(user_context); }
int hconv1_device_malloc(void *user_context, hconv_buffer *buffer, const void *interface) {
    (void)buffer, (void)interface;
    return refuse(user_context);
}
int hconv1_device_free(void *user_context, hconv_buffer *buffer) { (void)user_context, (void)buffer; return 0; }
void hconv1_device_free_as_destructor(void *user_context, void *buffer) { (void)user_context, (void)buffer; }
int hconv1_device_and_host_malloc(void *user_context, hconv_buffer *buffer, const void *interface) {
    return hconv1_device_malloc(user_context, buffer, interface);
}
int hconv1_device_and_host_free(void *user_context, hconv_buffer *buffer) { (void)user_context, (void)buffer; return 0; }
void hconv1_device_and_host_free_as_destructor(void *user_context, void *buffer) { (void)user_context, (void)buffer; }
