// memory_test.cpp - memory that runs out at every call: of the application's allocator, of the C library's, and threads that
// cannot be had. And what a run takes when it is given its workspace: nothing.
// SPDX-License-Identifier: MIT
#include "application.h"
#include "counted_malloc.h"

#include <gtest/gtest.h>

namespace {

using namespace hconv::test;

// From a context to an output: the status of the first call that fails, and whether the output was right.
hconv_status whole_way(const hconv_context_options &options, bool *correct) {
    static const float weight[] = {1, 1, 1, 2, 2, 2}, bias[] = {0, 10}, x[60] = {1, 2, 3};
    alignas(64) static char packed[1024];
    static float y[40];
    hconv_context *ctx = nullptr;
    hconv_plan *plan = nullptr;
    static const hconv_problem p = problem_of(FAKE_FIXED);
    const hconv_parameter parameters[] = {{"weight", weight, sizeof weight}, {"bias", bias, sizeof bias}};
    const void *inputs[] = {x};
    void *outputs[] = {y};
    hconv_run_args args{};
    args.struct_size = sizeof args;
    args.input_count = args.output_count = 1;
    args.inputs = inputs, args.outputs = outputs, args.packed = packed;
    hconv_status status = hconv_context_create(&options, &ctx, nullptr, 0);
    if (!status) status = hconv_context_add_library(ctx, &fake_library);
    if (!status) status = hconv_context_add_library(ctx, &other_library);
    if (!status) status = hconv_plan_create(ctx, &p, &plan, nullptr, 0);
    if (!status) status = hconv_pack(plan, parameters, 2, packed, sizeof packed, nullptr, 0);
    if (!status) status = hconv_run(plan, &args); // no workspace given: the context allocates
    *correct = !status && y[0] == 6 && y[1] == 22 && y[39] == 10;
    hconv_plan_destroy(plan);
    hconv_context_destroy(ctx);
    return status;
}

// With an allocator of the application's own, for every k there is.
TEST(Memory, RunsOutAtEveryCall) {
    int reached = 0;
    for (int k = 1;; ++k) {
        Services services;
        services.fail_at = k;
        bool correct;
        hconv_status status = whole_way(services.options(), &correct);
        EXPECT_EQ(services.live, 0) << "the " << k << "-th allocation fails";
        if (services.calls < k) {
            EXPECT_EQ(status, HCONV_OK);
            EXPECT_TRUE(correct);
            break;
        }
        ++reached;
        EXPECT_EQ(status, HCONV_OUT_OF_MEMORY) << "the " << k << "-th allocation fails";
    }
    EXPECT_EQ(reached, 6) << "context, two libraries, plan, pack, run";
}

// With the C library's: a pool that cannot be had is no error, its work is done on one thread.
TEST(Memory, OfTheCLibraryRunsOutAtEveryCall) {
    if (!malloc_is_counted()) GTEST_SKIP() << "a sanitizer has the allocator";
    for (int threads : {1, 4}) {
        hconv_context_options options{};
        options.struct_size = sizeof options;
        options.num_threads = threads;
        int refused = 0, served = 0;
        for (int k = 1;; ++k) {
            bool correct;
            if (k == 1) whole_way(options, &correct); // what C++ allocates once is there
            fail_allocation(k);
            hconv_status status = whole_way(options, &correct);
            const bool reached = allocation_failed();
            fail_allocation(0);
            EXPECT_TRUE(status == HCONV_OUT_OF_MEMORY || correct) << hconv_status_name(status);
            if (!reached) break;
            status ? ++refused : ++served;
        }
        EXPECT_EQ(refused, 6) << "context, two libraries, plan, pack, run";
        EXPECT_GE(served, threads > 1 ? 2 : 0) << "the pool, and its list of threads";
    }
}

TEST(Memory, ThreadsThatCannotBeHadAreDoneWithout) {
    if (!malloc_is_counted()) GTEST_SKIP() << "a sanitizer has pthread_create";
    for (int threads : {0, 1, 2}) {
        Services services;
        hconv_context_options options = services.options();
        options.num_threads = 4;
        bool correct;
        fail_threads_after(threads);
        EXPECT_EQ(whole_way(options, &correct), HCONV_OK);
        fail_threads_after(-1);
        EXPECT_TRUE(correct) << threads << " threads";
        EXPECT_EQ(services.live, 0);
    }
}

TEST(Memory, ARunWithItsWorkspaceTakesNone) {
    for (int threads : {1, 2, 5}) {
        Services services;
        hconv_context_options options = services.options();
        options.num_threads = threads;
        Context ctx = make_context(options, {&fake_library});
        Plan plan = make_plan(ctx, FAKE_FIXED);
        Call call(plan);
        EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
        const int calls = services.calls;
        const long before = allocations();
        EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
        EXPECT_EQ(allocations(), before);
        EXPECT_EQ(services.calls, calls);
        EXPECT_TRUE(call.correct());
    }
}

} // namespace
