// cuda_driver_test.cpp - a program for a GPU where there is no driver, and where the driver is too old: a sentence each.
// SPDX-License-Identifier: MIT
#include "application.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

extern "C" const void *hconv1_cuda_device_interface(void);

namespace {

const int64_t nothing[] = {HCONV_SIZE_CONST, 0, HCONV_SIZE_END};
const hconv_argument arguments[] = {{"x", HCONV_INPUT, HCONV_F32, 4, "nhwc"},
                                    {"weight", HCONV_PARAMETER, HCONV_F32, 4, "oihw"},
                                    {"bias", HCONV_PARAMETER, HCONV_F32, 1, "o"},
                                    {"y", HCONV_OUTPUT, HCONV_F32, 4, "nhwc"}};
int not_reached(void **) { return hconv1_cuda_device_interface() ? -1 : -2; }  // as kernels do, it brings in the runtime's CUDA part
const hconv_kernel kernel = {"gpu", FAKE_FIXED, "x86-64-linux-cuda-cuda_capability_80", "by-hand", not_reached, arguments, 4, 4, "cuda",
                             nothing, nothing, 1, 1, HCONV_DEVICE_CUDA, 1, nullptr, 0};
const hconv_library library = {HCONV_LIBRARY_ABI, 1, "fake", "by hand", &kernel};

Why refusal() {
    Services services;
    Why why;
    hconv_plan *plan = nullptr;
    {
        Context ctx = make_context(services.options(), {&library});
        hconv_problem p = problem_of(FAKE_FIXED);
        EXPECT_EQ(hconv_plan_create(ctx.get(), &p, &plan, why.text, sizeof why.text), HCONV_UNSUPPORTED);
        EXPECT_EQ(plan, nullptr);
    }
    EXPECT_EQ(services.live, 0);
    return why;
}

TEST(CudaDriver, IsNotThere) {
    if (dlopen("libcuda.so.1", RTLD_NOW)) GTEST_SKIP() << "there is a CUDA driver";
    EXPECT_SAYS(refusal(), "there is no CUDA driver here (libcuda.so.1)");
}

TEST(CudaDriver, IsTooOld) {
    if (dlopen("libcuda.so.1", RTLD_NOW)) GTEST_SKIP() << "there is a CUDA driver";
    ASSERT_TRUE(dlopen(OLD_CUDA, RTLD_NOW)) << dlerror();  // known by its name from now on
    EXPECT_SAYS(refusal(), "the CUDA driver is too old: it has no cuDeviceGet");
}

}  // namespace
