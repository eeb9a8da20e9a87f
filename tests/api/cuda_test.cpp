// cuda_test.cpp - runtime/cuda.c against a libcuda without a GPU (fake_cuda.h): whose context, whose stream, what is loaded
// when, what a run allocates, and every call of the driver failing once.
// SPDX-License-Identifier: MIT
#include "application.h"
#include "fake_cuda.h"
#include "runtime/internal.h"

#include <gtest/gtest.h>

#include <deque>
#include <thread>

extern "C" {
int hconv1_cuda_initialize_kernels(void *, void **, const char *, int);
void hconv1_cuda_finalize_kernels(void *, void *);
int hconv1_cuda_run(void *, void *, const char *, int, int, int, int, int, int, int, size_t *, void **, int8_t *);
const void *hconv1_cuda_device_interface(void);
int hconv1_copy_to_device(void *, hconv_buffer *, const void *);
int hconv1_copy_to_host(void *, hconv_buffer *);
int hconv1_device_malloc(void *, hconv_buffer *, const void *);
int hconv1_device_free(void *, hconv_buffer *);
void hconv1_device_free_as_destructor(void *, void *);
void *hconv1_malloc(void *, size_t);
void hconv1_free(void *, void *);
int cuCtxCreate_v2(void **, unsigned, int);
int cuCtxDestroy_v2(void *);
int cuCtxPushCurrent_v2(void *);
int cuCtxPopCurrent_v2(void **);
int cuStreamCreate(void **, unsigned);
int cuStreamDestroy_v2(void *);
}

namespace {

#define CUDA_PROBLEM "pointwise_ci3_h4_w5_co2"
#define CPU_TOO "pointwise_ci3_h4_w5_co2_relu"

// What the kernel under test does besides its work.
struct Behaviour {
    int grid_y = 4, threads = 32, shared = 0, functions = 0, more_in_a_run = 0, host_bytes = 0, copies_back = 0, fails = 0, late = 0;
    int blocks = 0, many_arguments = 0, not_on_the_device = 0, calls = 0;
    std::string image = "FAKE image";
} behaviour;

struct Scratch {
    hconv_dimension dim[2];
    hconv_buffer buffer{};
    Scratch(int width, int height) : dim{{0, width, 1, 0}, {0, height, width, 0}} {
        buffer.type.bits = 32, buffer.type.lanes = 1, buffer.dimensions = 2, buffer.dim = dim;
    }
};

void gather(void **arguments, const unsigned *, const unsigned *, unsigned) {
    const float *x = *static_cast<float **>(arguments[0]);
    float *to = *static_cast<float **>(arguments[1]);
    const int count = *static_cast<int *>(arguments[2]);
    for (int i = 0; i < count; ++i) to[i] = x[i];
}

void multiply(void **arguments, const unsigned *, const unsigned *, unsigned) {
    const float *x = *static_cast<float **>(arguments[0]), *weight = *static_cast<float **>(arguments[1]);
    const float *bias = *static_cast<float **>(arguments[2]);
    float *y = *static_cast<float **>(arguments[3]);
    for (int i = 0; i < 40; ++i) {
        const float *pixel = x + i / 2 * 3, *w = weight + i % 2 * 3;
        y[i] = bias[i % 2] + w[0] * pixel[0] + w[1] * pixel[1] + w[2] * pixel[2];
    }
}

// As Halide's host code goes: x is gathered into scratch memory, then multiplied; a second scratch buffer comes and goes.
int two_launches(void **args) {
    void *user_context = *static_cast<void **>(args[0]), *state = nullptr;
    const void *interface = hconv1_cuda_device_interface();
    const int calls = __atomic_add_fetch(&behaviour.calls, 1, __ATOMIC_RELAXED);
    Scratch row(30, 2), spare(100, 1), large(100 + 1000 * behaviour.more_in_a_run * (calls > 1), 1);
    int count = 60;
    size_t gather_sizes[] = {8, 8, 4, 0}, multiply_sizes[] = {8, 8, 8, 8, 0};
    int8_t gather_buffers[] = {1, 1, 0, 0}, multiply_buffers[] = {1, 1, 1, 1, 0};
    void *gather_arguments[] = {args[1], &row.buffer, &count, nullptr};
    void *multiply_arguments[] = {&row.buffer, args[2], args[3], args[4], nullptr};
    if (behaviour.fails) return -1;
    void *host = hconv1_malloc(user_context, static_cast<size_t>(behaviour.host_bytes));
    hconv1_cuda_initialize_kernels(user_context, &state, behaviour.image.c_str(), int(behaviour.image.size() + 1));
    if (behaviour.not_on_the_device) hconv1_copy_to_device(user_context, &row.buffer, interface);
    Scratch empty(0, 1);
    hconv1_device_malloc(user_context, &empty.buffer, interface);
    hconv1_device_free(user_context, &empty.buffer);
    hconv1_copy_to_device(user_context, static_cast<hconv_buffer *>(args[1]), interface);
    hconv1_device_malloc(user_context, &row.buffer, interface);
    hconv1_device_malloc(user_context, &row.buffer, interface);  // Halide asks before every use
    hconv1_cuda_run(user_context, state, "gather", 1, behaviour.grid_y, 1, behaviour.threads, 1, 1, behaviour.shared, gather_sizes,
                    gather_arguments, gather_buffers);
    hconv1_device_malloc(user_context, &spare.buffer, interface);
    hconv1_device_free(user_context, &spare.buffer);
    hconv1_device_malloc(user_context, &large.buffer, interface);
    hconv1_device_malloc(user_context, static_cast<hconv_buffer *>(args[4]), interface);
    std::vector<std::string> names;
    for (int i = 0; i < behaviour.functions; ++i) names.push_back("gather" + std::to_string(i));
    for (const std::string &name : names)
        hconv1_cuda_run(user_context, state, name.c_str(), 1, 1, 1, 1, 1, 1, 0, gather_sizes, gather_arguments, gather_buffers);
    hconv1_cuda_run(user_context, state, behaviour.late && calls > 1 ? "gather0" : "multiply", 2, 2, 2, 8, 4, 1, 16, multiply_sizes,
                    multiply_arguments, multiply_buffers);
    for (int axis = 0; axis < 3; ++axis)
        hconv1_cuda_run(user_context, state, "multiply", axis != 0, axis != 1, axis != 2, 8, 4, 1, 0, multiply_sizes, multiply_arguments, multiply_buffers);
    if (behaviour.many_arguments && calls > 1) {
        std::vector<size_t> sizes(100, 8);
        std::vector<int8_t> buffers(100, 0);
        std::vector<void *> values(100, &count);
        hconv1_cuda_run(user_context, state, "multiply", 1, 1, 1, 8, 4, 1, 0, sizes.data(), values.data(), buffers.data());
    }
    std::deque<Scratch> more; // they point into themselves
    for (int i = 0; i < behaviour.blocks; ++i) more.emplace_back(1, 1);
    for (Scratch &one : more) hconv1_device_malloc(user_context, &one.buffer, interface);
    for (Scratch &one : more) hconv1_device_free(user_context, &one.buffer);
    if (behaviour.copies_back && calls > 1) hconv1_copy_to_host(user_context, static_cast<hconv_buffer *>(args[4]));
    hconv1_device_free_as_destructor(user_context, &row.buffer);
    hconv1_device_free(user_context, &large.buffer);
    hconv1_cuda_finalize_kernels(user_context, state);
    hconv1_free(user_context, host);
    return 0;
}

int one_launch(void **args) {  // no scratch memory
    void *user_context = *static_cast<void **>(args[0]), *state = nullptr;
    int count = 40;
    size_t sizes[] = {8, 8, 4, 0};
    int8_t buffers[] = {1, 1, 0, 0};
    void *given[] = {args[1], args[4], &count, nullptr};
    hconv1_cuda_initialize_kernels(user_context, &state, "FAKE image", 11);
    hconv1_cuda_run(user_context, state, "gather", 1, 1, 1, 32, 1, 1, 0, sizes, given, buffers);
    hconv1_cuda_finalize_kernels(user_context, state);
    return 0;
}

int on_the_cpu(void **) { return 0; }

const hconv_argument arguments[] = {{"x", HCONV_INPUT, HCONV_F32, 4, "nhwc"},
                                    {"weight", HCONV_PARAMETER, HCONV_F32, 4, "oihw"},
                                    {"bias", HCONV_PARAMETER, HCONV_F32, 1, "o"},
                                    {"y", HCONV_OUTPUT, HCONV_F32, 4, "nhwc"}};
const int64_t nothing[] = {HCONV_SIZE_CONST, 0, HCONV_SIZE_END};
const hconv_image images[] = {{86, "CUBIN 86", 8}, {80, "CUBIN 80", 8}, {90, "CUBIN 90", 8}};
const hconv_kernel kernels[] = {
    {"fake__cuda", CUDA_PROBLEM, "x86-64-linux-cuda-cuda_capability_80", "by-hand", two_launches, arguments, 4, 4, "cuda", nothing, nothing,
     1, 1, HCONV_DEVICE_CUDA, 41, nullptr, 0},
    {"fake__images", CUDA_PROBLEM "_gelu", "x86-64-linux-cuda-cuda_capability_80", "by-hand", two_launches, arguments, 4, 4, "cuda",
     nothing, nothing, 1, 1, HCONV_DEVICE_CUDA, 42, images, 3},
    {"fake__both_cuda", CPU_TOO, "x86-64-linux-cuda-cuda_capability_80", "by-hand", two_launches, arguments, 4, 4, "cuda", nothing,
     nothing, 1, 1, HCONV_DEVICE_CUDA, 43, nullptr, 0},
    {"fake__any_gpu", CUDA_PROBLEM "_relu6", "x86-64-linux-cuda", "by-hand", one_launch, arguments, 4, 4, "cuda", nothing, nothing, 1, 1,
     HCONV_DEVICE_CUDA, 45, nullptr, 0},
    {"fake__both_cpu", CPU_TOO, "any", "by-hand", on_the_cpu, arguments, 4, 1, "low", nothing, nothing, 1, 1, 0, 44, nullptr, 0},
};
const hconv_library library = {HCONV_LIBRARY_ABI, 5, "fake", "by hand", kernels};

class Cuda : public ::testing::Test {
protected:
    fake_cuda &driver = *fake_cuda_state();
    Services services;
    hconv_context_options options = services.options();

    static void SetUpTestSuite() {
        fake_cuda_function("gather", gather), fake_cuda_function("multiply", multiply);
        for (int i = 0; i < 200; ++i) fake_cuda_function(("gather" + std::to_string(i)).c_str(), gather);
    }
    void SetUp() override { fake_cuda_reset(), behaviour = Behaviour(); }
    // Nothing is left: not of the driver's, not of the application's.
    void TearDown() override {
        EXPECT_EQ(services.live, 0);
        EXPECT_EQ(driver.primaries, 0);
        EXPECT_EQ(driver.contexts, 0);
        EXPECT_EQ(driver.modules, 0);
        EXPECT_EQ(driver.allocations, 0);
        EXPECT_EQ(driver.depth, 0) << "a context was left current";
        EXPECT_EQ(driver.waits, 0) << "the runtime waited";
    }
    hconv_status create(const Context &ctx, const char *text, Why &why) {
        hconv_problem p = problem_of(text);
        hconv_plan *plan = nullptr;
        hconv_status status = hconv_plan_create(ctx.get(), &p, &plan, why.text, sizeof why.text);
        hconv_plan_destroy(plan);
        return status;
    }
};

// Device memory is host memory here: a call's pointers, aligned as CUDA's must be.
struct DeviceCall {
    std::vector<char> memory;
    std::vector<const void *> inputs;
    std::vector<void *> outputs;
    hconv_run_args args{};
    float *x, *y;

    explicit DeviceCall(const Plan &plan, size_t skew = 0) : memory(8192) {
        Call host(plan);
        char *base = memory.data() + (256 - reinterpret_cast<uintptr_t>(memory.data()) % 256);
        std::memcpy(base, host.packed.at(), host.info.packed_bytes);
        x = reinterpret_cast<float *>(base + 1024 + skew), y = reinterpret_cast<float *>(base + 2048);
        std::memcpy(x, host.x.data(), host.x.size() * 4);
        inputs = {x}, outputs = {y};
        args.struct_size = sizeof args;
        args.input_count = args.output_count = 1;
        args.inputs = inputs.data(), args.outputs = outputs.data();
        args.packed = base;
        args.workspace = base + 4096, args.workspace_bytes = host.info.workspace_bytes;
    }
    bool correct() const {
        for (int i = 0; i < 40; ++i)
            if (y[i] != float(i % 2 * 10) + float(i % 2 + 1) * (x[i / 2 * 3] + x[i / 2 * 3 + 1] + x[i / 2 * 3 + 2])) return false;
        return true;
    }
};

TEST_F(Cuda, RunsOnTheCallersStreamAndAllocatesNothing) {
    Context ctx = make_context(options, {&library});
    EXPECT_EQ(driver.primaries, 1);
    Plan plan = make_plan(ctx, CUDA_PROBLEM);
    EXPECT_EQ(driver.loads, 1);
    EXPECT_EQ(driver.launches, 0);
    EXPECT_STREQ(driver.image, "FAKE image");
    // Two blocks of at most 512 bytes are alive at a time: row (240 bytes), spare and then large (400).
    EXPECT_EQ(describe(plan).workspace_bytes, 256u + 512u);
    void *streams[2], *primary, *ignored;
    DeviceCall call(plan);
    const int calls = services.calls;
    for (int i = 0; i < 3; ++i) {
        streams[0] = nullptr;
        call.args.stream = streams[0];
        EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
        EXPECT_TRUE(call.correct());
        std::memset(call.y, 0, 160);
    }
    primary = driver.launch_context;
    cuCtxPushCurrent_v2(primary);
    cuStreamCreate(&streams[0], 1), cuStreamCreate(&streams[1], 1);
    cuCtxPopCurrent_v2(&ignored);
    for (void *stream : streams) {
        call.args.stream = stream;
        EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
        EXPECT_EQ(driver.launch_stream, stream);
        cuStreamDestroy_v2(stream);
    }
    EXPECT_EQ(services.calls, calls) << "a run took memory";
    EXPECT_EQ(driver.memory_calls, 0);
    EXPECT_EQ(driver.loads, 1);
    EXPECT_EQ(driver.launches, 10);
    const unsigned grid[] = {2, 2, 2}, block[] = {8, 4, 1};
    EXPECT_FALSE(std::memcmp(driver.launch_grid, grid, sizeof grid) | std::memcmp(driver.launch_block, block, sizeof block));
    EXPECT_EQ(driver.launch_shared, 16u);
    EXPECT_TRUE(services.log.empty());
}

TEST_F(Cuda, WithoutAWorkspaceMemoryComesInTheStreamsOrder) {
    Context ctx = make_context(options, {&library});
    Plan plan = make_plan(ctx, CUDA_PROBLEM);
    DeviceCall call(plan);
    call.args.workspace = nullptr, call.args.workspace_bytes = 0;
    EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
    EXPECT_TRUE(call.correct());
    EXPECT_EQ(driver.memory_calls, 2);
    EXPECT_EQ(driver.allocations, 0);
    driver.pools = 0;
    Context old = make_context(options, {&library});
    Plan plan_of_old = make_plan(old, CUDA_PROBLEM);
    EXPECT_EQ(hconv_run(plan_of_old.get(), &call.args), HCONV_INVALID_ARGUMENT);
    EXPECT_TRUE(services.logged("give a workspace"));
}

TEST_F(Cuda, EveryContextOfHconvHasItsOwnOfCuda) {
    void *ours[2], *ignored;
    for (void *&c : ours) cuCtxCreate_v2(&c, 0, 0), cuCtxPopCurrent_v2(&ignored);
    driver.depth = 0;
    {
        hconv_context_options second = options;
        options.cuda_context = ours[0], second.cuda_context = ours[1];
        Context a = make_context(options, {&library}), b = make_context(second, {&library});
        Plan in_a = make_plan(a, CUDA_PROBLEM), in_b = make_plan(b, CUDA_PROBLEM), again_in_a = make_plan(a, CUDA_PROBLEM);
        EXPECT_EQ(driver.primaries, 0);
        EXPECT_EQ(driver.loads, 3);
        DeviceCall call(in_a);
        const Plan *plans[] = {&in_a, &in_b, &again_in_a};
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(hconv_run(plans[i]->get(), &call.args), HCONV_OK);
            EXPECT_EQ(driver.launch_context, ours[i % 2]);
        }
        cuCtxPushCurrent_v2(ours[1]);  // whatever is current stays so
        EXPECT_EQ(hconv_run(in_a.get(), &call.args), HCONV_OK);
        void *current = nullptr;
        cuCtxPopCurrent_v2(&current);
        EXPECT_EQ(current, ours[1]);
    }
    for (void *c : ours) cuCtxDestroy_v2(c);
}

TEST_F(Cuda, OnePlanRunsFromManyThreads) {
    Context ctx = make_context(options, {&library});
    Plan plan = make_plan(ctx, CUDA_PROBLEM);
    std::vector<std::thread> threads;
    std::vector<int> good(8, 0);
    for (size_t t = 0; t < good.size(); ++t)
        threads.emplace_back([&, t] {
            DeviceCall call(plan);
            for (int i = 0; i < 50; ++i) good[t] += !hconv_run(plan.get(), &call.args) && call.correct();
        });
    for (std::thread &t : threads) t.join();
    EXPECT_EQ(good, std::vector<int>(8, 50));
}

TEST_F(Cuda, TheCpuServesUnlessCudaIsAskedFor) {
    const auto chosen = [&] {
        Context ctx = make_context(options, {&library});
        return std::string(describe(make_plan(ctx, CPU_TOO)).kernel);
    };
    void *own, *ignored;
    EXPECT_EQ(chosen(), "fake__both_cpu");
    options.isa = "cuda";
    EXPECT_EQ(chosen(), "fake__both_cuda");
    options.isa = nullptr;
    cuCtxCreate_v2(&own, 0, 0), cuCtxPopCurrent_v2(&ignored), driver.depth = 0;
    options.cuda_context = own;
    EXPECT_EQ(chosen(), "fake__both_cuda");
    driver.devices = 0;
    options.cuda_context = nullptr;
    EXPECT_EQ(chosen(), "fake__both_cpu");
    cuCtxDestroy_v2(own);
}

TEST_F(Cuda, CodeForTheGpuElseThePtx) {
    const struct { int capability, refused; const char *image; } cases[] = {
        {80, 0, "CUBIN 80"}, {86, 0, "CUBIN 86"}, {89, 0, "CUBIN 86"}, {90, 0, "CUBIN 90"}, {100, 0, "FAKE image"}, {90, 1, "FAKE image"}};
    for (const auto &c : cases) {
        driver.capability = c.capability, driver.modules_refused = c.refused;
        Context ctx = make_context(options, {&library});
        Plan plan = make_plan(ctx, CUDA_PROBLEM "_gelu");
        EXPECT_STREQ(driver.image, c.image) << c.capability;
    }
}

TEST_F(Cuda, Refuses) {
    Why none, old, grid, threads, shared, many;
    driver.devices = 0;
    EXPECT_EQ(create(make_context(options, {&library}), CUDA_PROBLEM, none), HCONV_UNSUPPORTED);
    EXPECT_SAYS(none, "no GPU");
    driver.devices = 1, driver.capability = 75;
    EXPECT_EQ(create(make_context(options, {&library}), CUDA_PROBLEM, old), HCONV_UNSUPPORTED);
    EXPECT_SAYS(old, "compute capability 7.5, below 8.0");
    driver.capability = 90;
    Context ctx = make_context(options, {&library, &library});
    behaviour.grid_y = 65536;
    EXPECT_EQ(create(ctx, CUDA_PROBLEM, grid), HCONV_UNSUPPORTED);
    EXPECT_SAYS(grid, "65536 blocks along axis 1");
    behaviour = Behaviour(), driver.most_threads = 16;
    EXPECT_EQ(create(ctx, CUDA_PROBLEM, threads), HCONV_UNSUPPORTED);
    EXPECT_SAYS(threads, "32 threads a block, of 16");
    driver.most_threads = 1024, behaviour.shared = 300000;
    EXPECT_EQ(create(ctx, CUDA_PROBLEM, shared), HCONV_UNSUPPORTED);
    EXPECT_SAYS(shared, "300000 bytes of shared memory, of 232448");
    behaviour = Behaviour(), behaviour.functions = 120;
    EXPECT_EQ(create(ctx, CUDA_PROBLEM, many), HCONV_INTERNAL);
    EXPECT_SAYS(many, "more than");
    behaviour = Behaviour(), behaviour.shared = 100000;  // more than every launch may have, and there
    EXPECT_EQ(create(ctx, CUDA_PROBLEM, many), HCONV_OK);
}

TEST_F(Cuda, AKernelWithoutACapabilityRunsOnAnyGpuAndOneWithoutScratchTakesNone) {
    driver.capability = 30;
    Context ctx = make_context(options, {&library});
    Plan plan = make_plan(ctx, CUDA_PROBLEM "_relu6");
    DeviceCall call(plan);
    call.args.workspace = nullptr, call.args.workspace_bytes = 0;
    EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
    EXPECT_FALSE(std::memcmp(call.x, call.y, 40 * sizeof(float)));
    EXPECT_EQ(driver.memory_calls, 0);
}

TEST_F(Cuda, WhatTheDriverSaysOfCodeIsPassedOn) {
    Why refused, unknown;
    behaviour.image = "CUBIN of another world", driver.modules_refused = 1;
    EXPECT_EQ(create(make_context(options, {&library}), CUDA_PROBLEM, refused), HCONV_DEVICE_ERROR);
    EXPECT_SAYS(refused, "cuModuleLoadDataEx");
    EXPECT_SAYS(refused, ": no such code");
    behaviour = Behaviour(), driver.fail_at = driver.calls + 1, driver.fail_with = 999999;
    EXPECT_EQ(create(make_context(options, {&library}), CUDA_PROBLEM, unknown), HCONV_DEVICE_ERROR);
    EXPECT_SAYS(unknown, "an unknown error (999999)");
}

TEST_F(Cuda, RefusesCalls) {
    Context ctx = make_context(options, {&library});
    Plan plan = make_plan(ctx, CUDA_PROBLEM);
    const auto spoiled = [&](const std::function<void(DeviceCall &)> &spoil) {
        DeviceCall call(plan);
        spoil(call);
        return hconv_run(plan.get(), &call.args);
    };
    EXPECT_EQ(spoiled([](DeviceCall &) {}), HCONV_OK);
    EXPECT_EQ(spoiled([](DeviceCall &c) { c.args.packed = static_cast<const char *>(c.args.packed) + 64; }), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(spoiled([](DeviceCall &c) { c.args.workspace = static_cast<char *>(c.args.workspace) + 64; }), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(spoiled([](DeviceCall &c) { --c.args.workspace_bytes; }), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(spoiled([](DeviceCall &c) { c.inputs[0] = c.x + 1; }), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(spoiled([](DeviceCall &c) { c.outputs[0] = c.y + 2; }), HCONV_INVALID_ARGUMENT);
    EXPECT_EQ(spoiled([](DeviceCall &c) { c.outputs[0] = c.x + 4; }), HCONV_INVALID_ARGUMENT);
    EXPECT_TRUE(services.logged("CUDA: 16") && services.logged("CUDA: 256"));
    EXPECT_EQ(driver.launches, 2);
}

// What was never opened or loaded is closed and unloaded like the rest.
TEST_F(Cuda, NothingIsClosedForNothing) {
    Context ctx = make_context(options, {&library});
    hconv_plan bare{};
    bare.context = ctx.get();
    const int calls = driver.calls;
    hconv_cuda_close(ctx.get(), nullptr);
    hconv_cuda_unload(&bare);
    EXPECT_EQ(driver.calls, calls);
}

// Kernels that are not as emit makes them.
TEST_F(Cuda, AKernelThatDoesWhatItDidNotShowFailsTheRun) {
    const std::function<void()> faults[] = {[] { behaviour.more_in_a_run = 1; }, [] { behaviour.copies_back = 1; },
                                            [] { behaviour.late = 1; }, [] { behaviour.host_bytes = 64; },
                                            [] { behaviour.fails = 1; }, [] { behaviour.many_arguments = 1; },
                                            [] { behaviour.blocks = 100; }, [] { behaviour.not_on_the_device = 1; }};
    for (const auto &fault : faults) {
        Context ctx = make_context(options, {&library});
        behaviour = Behaviour();
        Plan plan = make_plan(ctx, CUDA_PROBLEM);
        DeviceCall call(plan);
        services.log.clear();
        fault();
        EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_INTERNAL);
        EXPECT_FALSE(services.log.empty());
    }
    Context ctx = make_context(options, {&library});
    Why why;
    behaviour = Behaviour(), behaviour.fails = 1;
    EXPECT_EQ(create(ctx, CUDA_PROBLEM, why), HCONV_INTERNAL);
    EXPECT_SAYS(why, "fake__cuda");
}

// The whole way to an output, the driver failing at its call k, for k = 1, 2, .. until that is never reached.
TEST_F(Cuda, EveryCallOfTheDriverFailsOnce) {
    void *own, *ignored;
    cuCtxCreate_v2(&own, 0, 0), cuCtxPopCurrent_v2(&ignored), driver.depth = 0;
    for (int variation = 0; variation < 4; ++variation) {
        const int fail_with = variation % 2 ? 2 : 719;
        options.cuda_context = variation / 2 ? own : nullptr;
        bool reached = true;
        for (int k = 1; reached; ++k) {
            ASSERT_LT(k, 100);
            behaviour = Behaviour(), behaviour.shared = 100000;
            services.log.clear();
            driver.calls = 0, driver.fail_at = k, driver.fail_with = fail_with, driver.failed[0] = 0;
            {
                Context ctx = make_context(options, {&library});
                hconv_problem p = problem_of(CUDA_PROBLEM);
                hconv_plan *made = nullptr;
                Why why;
                hconv_status status = hconv_plan_create(ctx.get(), &p, &made, why.text, sizeof why.text);
                Plan plan(made, hconv_plan_destroy);
                std::string said = why.text;
                if (!status) {
                    DeviceCall call(plan);
                    if (variation % 2) call.args.workspace = nullptr, call.args.workspace_bytes = 0;
                    status = hconv_run(plan.get(), &call.args);
                    EXPECT_EQ(status == HCONV_OK, call.correct() && !(status && call.correct())) << k;
                    if (status) said = services.log.empty() ? "" : services.log.back();
                }
                reached = driver.calls >= k;
                const std::string failed = driver.failed;
                if (!status) {
                    // What a worse answer only weakens; or the end, where nobody is left to tell.
                    EXPECT_TRUE(failed.empty() || failed == "cuFuncGetAttribute" || failed == "cuDeviceGetAttribute" ||
                                failed == "cuCtxPopCurrent_v2") << failed << " " << k;
                } else {
                    const bool no_pools = failed == "cuDeviceGetAttribute" && status == HCONV_INVALID_ARGUMENT;
                    EXPECT_TRUE(status == HCONV_DEVICE_ERROR || no_pools || (fail_with == 2 && status == HCONV_OUT_OF_MEMORY))
                        << failed << " " << k << " " << said;
                    EXPECT_TRUE(no_pools || said.find(failed.substr(0, 8)) != std::string::npos) << failed << " " << k << " " << said;
                }
            }
            // What cannot be given back stays.
            const std::string failed = driver.failed;
            if (failed == "cuDevicePrimaryCtxRelease_v2") driver.primaries = 0;
            if (failed == "cuModuleUnload" || failed == "cuCtxPushCurrent_v2") driver.modules = 0;
            if (failed == "cuMemFreeAsync" || failed == "cuCtxPushCurrent_v2") driver.allocations = 0;
            EXPECT_EQ(services.live, 0) << k;
            EXPECT_EQ(driver.primaries, 0) << k;
            EXPECT_EQ(driver.modules, 0) << k << driver.failed;
            EXPECT_EQ(driver.allocations, 0) << k;
            EXPECT_EQ(driver.depth, 0) << k;
        }
    }
    driver.fail_at = 0, driver.modules = driver.primaries = 0;
    cuCtxDestroy_v2(own);
}

TEST_F(Cuda, EveryAllocationFailsOnce) {
    for (int k = 1;; ++k) {
        services.calls = 0, services.fail_at = k;
        hconv_context *ctx = nullptr;
        hconv_plan *plan = nullptr;
        hconv_problem p = problem_of(CUDA_PROBLEM);
        hconv_status status = hconv_context_create(&options, &ctx, nullptr, 0);
        if (!status) status = hconv_context_add_library(ctx, &library);
        if (!status) status = hconv_plan_create(ctx, &p, &plan, nullptr, 0);
        const bool reached = services.calls >= k;
        hconv_plan_destroy(plan), hconv_context_destroy(ctx);
        EXPECT_EQ(services.live, 0);
        EXPECT_EQ(status, reached ? HCONV_OUT_OF_MEMORY : HCONV_OK) << k;
        if (!reached) break;
    }
}

}  // namespace
