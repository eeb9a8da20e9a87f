// corners_test.cpp - what an application meets rarely: loops inside tasks, two outputs in one place, parameters that contradict
// their problem; and what each family says about the pixels an output sees.
// SPDX-License-Identifier: MIT
#include "application.h"
#include "runtime/internal.h"
#include "runtime/pack.h"

#include <gtest/gtest.h>

extern "C" int hconv1_do_par_for(void *, int (*)(void *, int, uint8_t *), int, int, uint8_t *);
extern "C" void hconv1_free(void *, void *);

namespace {

struct Counted {
    int sum, fail_at;
};
int add(void *, int i, uint8_t *closure) {
    auto *c = reinterpret_cast<Counted *>(closure);
    c->sum += i;
    return i == c->fail_at ? -1 : 0;
}

TEST(Loops, InsideATaskAreSerial) {
    Services services;
    Context ctx = make_context(services.options(), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    alignas(64) char memory[256];
    hconv_run_record run{};
    hconv_worker worker;
    run.plan = plan.get(), run.worker_count = 4;
    hconv_worker_init(&worker, &run, memory, sizeof memory);
    worker.inside_task = 1;
    Counted all{0, -1}, some{0, 3};
    EXPECT_EQ(hconv1_do_par_for(&worker, add, 2, 4, reinterpret_cast<uint8_t *>(&all)), 0);
    EXPECT_EQ(all.sum, 2 + 3 + 4 + 5);
    EXPECT_NE(hconv1_do_par_for(&worker, add, 2, 4, reinterpret_cast<uint8_t *>(&some)), 0);
    EXPECT_EQ(some.sum, 2 + 3);
    worker.inside_task = 0;
    EXPECT_EQ(hconv1_do_par_for(&worker, add, 2, 0, reinterpret_cast<uint8_t *>(&all)), 0);
}

std::vector<int> order_of_tasks;
int note_task(void *, int i, uint8_t *) {
    order_of_tasks.push_back(i);
    return 0;
}
int last_worker_first(void *, int count, int (*task)(void *, int), void *arg) {
    int error = 0;
    for (int j = count - 1; j >= 0; --j) error |= task(arg, j);
    return error;
}

// Neighbouring tasks share cache lines and pages: a worker has the same ones in every run, and helps others when it is done.
TEST(Loops, AWorkerDoesItsOwnShareFirst) {
    Services services;
    hconv_context_options options = services.options();
    options.num_threads = 3, options.parallel_for = last_worker_first;
    Context ctx = make_context(options, {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    std::vector<char> slots(3 * plan->slot_bytes + 64);
    alignas(64) char memory[256];
    hconv_run_record run{};
    hconv_worker worker;
    run.plan = plan.get(), run.worker_count = 3;
    run.slots = slots.data() + (64 - reinterpret_cast<uintptr_t>(slots.data()) % 64) % 64;
    hconv_worker_init(&worker, &run, memory, sizeof memory);
    EXPECT_EQ(hconv1_do_par_for(&worker, note_task, 10, 7, nullptr), 0);
    EXPECT_EQ(order_of_tasks, (std::vector<int>{14, 15, 16, 10, 11, 12, 13}));
}

TEST(Loops, NothingIsFreedForNothing) {
    alignas(64) char memory[256];
    hconv_run_record run{};
    hconv_worker worker;
    hconv_worker_init(&worker, &run, memory, sizeof memory);
    hconv1_free(&worker, nullptr);
    hconv1_free(&worker, &worker);
    EXPECT_EQ(worker.top, 0u);
}

TEST(Loops, ABusyPoolsTasksAreTheCallersAndTheirFirstErrorCounts) {
    struct Nested {
        hconv_pool *pool;
        int inner;
    } nested{hconv_pool_create(2), 0};
    const auto fails = [](void *, int i) { return i + 5; };
    const auto outer = [](void *arg, int i) {
        auto *n = static_cast<Nested *>(arg);
        if (i == 0) n->inner = hconv_pool_parallel_for(n->pool, 3, [](void *, int j) { return j + 5; }, nullptr);
        return 0;
    };
    ASSERT_NE(nested.pool, nullptr);
    EXPECT_EQ(hconv_pool_parallel_for(nested.pool, 0, fails, nullptr), 0);
    EXPECT_EQ(hconv_pool_parallel_for(nested.pool, 1, fails, nullptr), 5);
    EXPECT_EQ(hconv_pool_parallel_for(nested.pool, 2, outer, &nested), 0);
    EXPECT_EQ(nested.inner, 5);
    hconv_pool_destroy(nested.pool);
    hconv_pool_destroy(nullptr);
}

int nothing(void **) { return 0; }

hconv_kernel row(const char *problem, const hconv_argument *arguments, int count) {
    hconv_kernel k{};
    k.symbol = "by_hand", k.problem = problem, k.target = k.schedule = "by hand", k.isa = "any";
    k.call = nothing, k.arguments = arguments, k.argument_count = count, k.hash = 5;
    return k;
}

TEST(Outputs, MayNotOverlap) {
    static const hconv_argument arguments[] = {{"x_h", HCONV_INPUT, HCONV_F32, 4, "nhwc"},
                                               {"x_l", HCONV_INPUT, HCONV_F32, 4, "nhwc"},
                                               {"y_h", HCONV_OUTPUT, HCONV_F32, 4, "nhwc"},
                                               {"y_l", HCONV_OUTPUT, HCONV_F32, 4, "nhwc"}};
    const hconv_kernel kernel = row("octave_ci4_h4_co4_k3_p1_cil2_col2", arguments, 4);
    const hconv_library library{HCONV_LIBRARY_ABI, 1, "octave", "by hand", &kernel};
    Services services;
    Context ctx = make_context(services.options(), {&library});
    Plan plan = make_plan(ctx, kernel.problem);
    alignas(64) hconv_blob_header blob{HCONV_BLOB_MAGIC, kernel.hash, describe(plan).packed_bytes};
    std::vector<float> x_h(32), x_l(8), y(40);
    const void *inputs[] = {x_h.data(), x_l.data()};
    void *outputs[] = {y.data(), y.data() + 31};
    hconv_run_args args{};
    args.struct_size = sizeof args;
    args.input_count = args.output_count = 2;
    args.inputs = inputs, args.outputs = outputs, args.packed = &blob;
    EXPECT_EQ(hconv_run(plan.get(), &args), HCONV_INVALID_ARGUMENT);
    EXPECT_TRUE(services.logged("two outputs overlap"));
    outputs[1] = y.data() + 32;
    EXPECT_EQ(hconv_run(plan.get(), &args), HCONV_OK);
}

TEST(Parameters, MustBeOfTheNamedWavelet) {
    static const hconv_argument arguments[] = {{"x", HCONV_INPUT, HCONV_F32, 4, "nhwc"},
                                               {"y", HCONV_OUTPUT, HCONV_F32, 4, "nhwc"}};
    const hconv_kernel kernel = row("wtconv_ci2_h8_k3", arguments, 2);
    const hconv_library library{HCONV_LIBRARY_ABI, 1, "wtconv", "by hand", &kernel};
    Services services;
    Context ctx = make_context(services.options(), {&library});
    Plan plan = make_plan(ctx, kernel.problem);
    const int live = services.live;
    std::vector<float> zeros(4096);
    std::vector<hconv_tensor_info> tensors;
    std::vector<hconv_parameter> given;
    for (int i = 0; i < describe(plan).tensor_count; ++i) {
        hconv_tensor_info t{};
        t.struct_size = sizeof t;
        ASSERT_EQ(hconv_plan_tensor(plan.get(), i, &t), HCONV_OK);
        if (t.role == HCONV_PARAMETER) given.push_back({t.name, zeros.data(), t.bytes});
    }
    alignas(64) char packed[256];
    Why why;
    EXPECT_EQ(hconv_pack(plan.get(), given.data(), int(given.size()), packed, sizeof packed, why.text, sizeof why.text),
              HCONV_INVALID_ARGUMENT);
    EXPECT_SAYS(why, "filter");
    EXPECT_EQ(services.live, live);
}

TEST(Descriptors, SayWhatAnOutputSees) {
    struct Case {
        const char *problem;
        int height, width;
    };
    const Case cases[] = {
        {"conv2d_ci1_h9_co1_k3", 3, 3},
        {"dilated_ci1_h9_w20_co1_kh3_kw2_d3", 7, 4},
        {"linear_ci3_co2", 1, 1},
        {"depthwise_separable_ci4_h9_co4_k5", 5, 5},
        {"rowcol_ci2_h9_kh3_kw5", 3, 5},
        {"transposed_ci2_h4_co2_k4_s2", 2, 2}, // every second tap of a window meets
        {"transposed_ci2_h4_co2_k5_s2_d4", 9, 9}, // steps of two rows, and all five taps meet
        {"spd_ci2_h8_co2_k3", 6, 6},
        {"spd_ci2_h8_co2_k3_after", 3, 3},
        {"spd_ci2_h8_only", 1, 1},
        {"octave_ci4_h8_co4_k3_p1", 3, 3},
        {"octave_ci4_h8_co4_k3_p1_cil2_col2", 6, 6},
        {"octave_ci4_h8_co4_k3_p1_col2", 6, 6},
        {"octave_ci4_h8_co4_k3_p1_cil2", 6, 6},
        {"octave_ci4_h8_co4_k3_p1_cil4_col4", 6, 6},
        {"condconv_ci2_h9_co2_k3", 3, 3},
        {"odconv_ci2_h9_co2_k3", 3, 3},
        {"wtconv_ci2_h16_k5", 10, 10},
        {"wtconv1d_ci2_w16_k5", 1, 10},
    };
    for (const Case &c : cases) {
        const hconv_problem p = problem_of(c.problem);
        int height = 0, width = 0;
        hconv_variant_of(&p)->family->receptive_field(&p, &height, &width);
        EXPECT_EQ(height, c.height) << c.problem;
        EXPECT_EQ(width, c.width) << c.problem;
    }
}

} // namespace
