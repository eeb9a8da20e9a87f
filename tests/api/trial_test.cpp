// trial_test.cpp - what a trial must notice: kernels written by hand, each wrong in one way.
// SPDX-License-Identifier: MIT
#include "runtime/internal.h"
#include "tests/reference/judge.h"
#include "trial.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <sched.h>
#include <string>
#include <unistd.h>

extern "C" int hconv1_do_par_for(void *user_context, int (*task)(void *, int, uint8_t *), int min, int count,
                                 uint8_t *closure);
extern "C" void *hconv1_malloc(void *user_context, size_t bytes);
extern "C" void hconv1_free(void *user_context, void *ptr);

namespace {

using hconv::reference::Judge;

enum Fault {
    none,
    skips_an_output,
    reads_behind_x,
    reads_before_x,
    uses_bytes_behind_x,
    writes_behind_y,
    changes_x,
    adds_noise,
    depends_on_order,
    writes_what_the_next_writes,
    trusts_workspace,
    too_little_workspace,
    wrong_tap,
    drops_remainder,
    never_ends,
    wants_cores, // fails where its threads may meet on one core
};
Fault fault; // of the kernel; a trial's process inherits it

float *floats(const hconv_buffer *b) { return reinterpret_cast<float *>(b->host); }

struct Buffers {
    const hconv_buffer *x, *weight, *bias, *y;
};
std::atomic<int> last_task; // what depends_on_order depends on

// Two tasks may write one element here: no race for a sanitizer to stop at before the trial says so.
void put(float *to, float value) { __atomic_store(to, &value, __ATOMIC_RELAXED); }

size_t first_core; // that this program may use

// The caller on the first core only, the others kept off it.
bool is_apart() {
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine)) return false;
    const bool first = CPU_ISSET(first_core, &mine);
    return gettid() == getpid() ? first && CPU_COUNT(&mine) == 1 : !first;
}

// y(o, i) = bias(o) + sum_c weight(o, c) x(c, i): one pixel i a task, its input gathered into scratch memory.
int pixel_task(void *user_context, int i, uint8_t *closure) {
    const Buffers &b = *reinterpret_cast<const Buffers *>(closure);
    int ci = b.x->dim[0].extent, co = b.y->dim[0].extent, pixels = b.y->dim[1].extent;
    float *row = static_cast<float *>(hconv1_malloc(user_context, 64)), *x = floats(b.x) + i * ci;
    if (!row || (fault == wants_cores && !is_apart())) return -1;
    volatile float ignored = 0;
    float kept = row[ci];
    for (int c = 0; c < ci; ++c) row[c] = x[c];
    if (fault == reads_behind_x && i + 1 == pixels) ignored = x[ci];
    if (fault == reads_before_x && i == 0) ignored = x[-1];
    if (fault == uses_bytes_behind_x) kept = i + 1 == pixels ? x[ci] : 0;
    if (fault == changes_x) x[0] = 1;
    if (fault == adds_noise) kept = 1e-3f * float(reinterpret_cast<uintptr_t>(x) / 4 % 16);
    if (fault == depends_on_order) kept = last_task > i ? 1.0f : 0.0f;
    (void)ignored;
    last_task = i;
    bool adds = fault == uses_bytes_behind_x || fault == adds_noise || fault == depends_on_order ||
                fault == trusts_workspace;
    for (int o = 0; o < co; ++o) {
        float sum = floats(b.bias)[o] + (adds ? kept : 0);
        int terms = fault == drops_remainder ? ci / 2 * 2 : ci, swap = fault == wrong_tap;
        for (int c = 0; c < terms; ++c) sum += floats(b.weight)[o * ci + (swap ? ci - 1 - c : c)] * row[c];
        if (fault != skips_an_output || i + 1 != pixels || o + 1 != co) put(floats(b.y) + i * co + o, sum);
    }
    for (int o = 0; o < co && fault == writes_what_the_next_writes && i + 1 < pixels; ++o) {
        float sum = floats(b.bias)[o];
        for (int c = 0; c < ci; ++c) sum += floats(b.weight)[o * ci + c] * x[ci + c];
        put(floats(b.y) + (i + 1) * co + o, sum);
    }
    if (fault == writes_behind_y && i + 1 == pixels) floats(b.y)[(i + 1) * co] = 0;
    hconv1_free(user_context, row);
    return 0;
}

int call(void **args) {
    void *user_context = *static_cast<void **>(args[0]);
    auto buffer = [&](int i) { return static_cast<const hconv_buffer *>(args[i]); };
    Buffers b{buffer(1), buffer(2), buffer(3), buffer(4)};
    volatile bool forever = fault == never_ends;
    while (forever) {}
    return hconv1_do_par_for(user_context, pixel_task, 0, b.y->dim[1].extent, reinterpret_cast<uint8_t *>(&b));
}

const hconv_argument arguments[] = {{"x", HCONV_INPUT, 0, 4, "nhwc"},
                                    {"weight", HCONV_PARAMETER, 0, 4, "oihw"},
                                    {"bias", HCONV_PARAMETER, 0, 1, "o"},
                                    {"y", HCONV_OUTPUT, 0, 4, "nhwc"}};
const int64_t enough[] = {HCONV_SIZE_CONST, 128, HCONV_SIZE_END, 0}, too_little[] = {HCONV_SIZE_END, 0};

struct Outcome {
    hconv_outcome trial;
    bool good; // the reference agrees
    std::string sentence;
};

Outcome try_kernel(Fault f, unsigned checks = HCONV_TRIAL_ALL, hconv_fill_kind data = HCONV_FILL_RANDOM) {
    hconv_kernel k{};
    hconv_problem p;
    EXPECT_EQ(hconv_problem_parse("linear_n9_ci5_co3", &p, nullptr, 0), HCONV_OK);
    k.symbol = "by_hand", k.problem = "linear_n9_ci5_co3", k.target = k.schedule = "by hand", k.isa = "generic";
    k.call = call, k.arguments = arguments, k.argument_count = 4, k.hash = 1;
    k.slot_bytes = f == too_little_workspace ? too_little : enough;
    fault = f;
    Judge judge(p, data, 1);
    hconv_trial t{};
    t.kernel = &k, t.problem = &p, t.data = judge.data(), t.checks = checks, t.limit_seconds = f == never_ends ? 1 : 60;
    if (f == wants_cores) t.rounds = 3, t.threads = 2;
    std::unique_ptr<hconv_trial_result, void (*)(hconv_trial_result *)> r(hconv_trial_run(&t), hconv_trial_free);
    if (!r) return {HCONV_FAILED, false, "no result"};
    return {r->outcome, r->outcome == HCONV_PASSED && judge.verdict(r->output).good, r->sentence};
}

TEST(Trial, PassesAGoodKernel) {
    for (hconv_fill_kind data : {HCONV_FILL_EXACT, HCONV_FILL_RANDOM}) {
        Outcome o = try_kernel(none, HCONV_TRIAL_ALL, data);
        EXPECT_EQ(o.trial, HCONV_PASSED) << o.sentence;
        EXPECT_TRUE(o.good);
    }
}

TEST(Trial, EveryOutputMustBeWritten) {
    Outcome o = try_kernel(skips_an_output, 0);
    EXPECT_EQ(o.trial, HCONV_FAILED);
    EXPECT_NE(o.sentence.find("not every element of y was written"), std::string::npos) << o.sentence;
}

TEST(Trial, GuardPagesAreNotTouched) {
    for (Fault f : {reads_behind_x, reads_before_x}) {
        Outcome o = try_kernel(f, HCONV_TRIAL_BOUNDS);
        std::string where = f == reads_behind_x ? "x 0 bytes behind its end" : "4 bytes before x";
        EXPECT_EQ(o.trial, HCONV_FAILED);
        EXPECT_NE(o.sentence.find(where), std::string::npos) << o.sentence;
    }
    Outcome used = try_kernel(uses_bytes_behind_x, 0);
    EXPECT_NE(used.sentence.find("y was computed from bytes around a tensor"), std::string::npos) << used.sentence;
}

TEST(Trial, NothingElseIsWritten) {
    EXPECT_NE(try_kernel(writes_behind_y, 0).sentence.find("wrote outside y"), std::string::npos);
    EXPECT_NE(try_kernel(changes_x, 0).sentence.find("the input x was changed"), std::string::npos);
}

TEST(Trial, BitsDependOnNothingButTheData) {
    EXPECT_EQ(try_kernel(adds_noise, HCONV_TRIAL_BOUNDS).trial, HCONV_FAILED) << "addresses";
    EXPECT_EQ(try_kernel(depends_on_order, HCONV_TRIAL_REPEAT).trial, HCONV_FAILED) << "order of tasks";
}

// The values are right, and the same whoever comes last: only who writes what tells.
TEST(Trial, NoTwoTasksWriteOneElement) {
    EXPECT_EQ(try_kernel(writes_what_the_next_writes, HCONV_TRIAL_ALL & ~HCONV_TRIAL_REPEAT).trial, HCONV_PASSED);
    Outcome o = try_kernel(writes_what_the_next_writes, HCONV_TRIAL_REPEAT);
    EXPECT_EQ(o.trial, HCONV_FAILED);
    EXPECT_NE(o.sentence.find("two tasks write one element of y"), std::string::npos) << o.sentence;
}

TEST(Trial, WorkspaceIsScratchOfTheStatedSize) {
    EXPECT_EQ(try_kernel(trusts_workspace, HCONV_TRIAL_WORKSPACE).trial, HCONV_FAILED);
    EXPECT_EQ(try_kernel(too_little_workspace, 0).trial, HCONV_FAILED);
}

TEST(Trial, AnEndlessLoopEnds) {
    Outcome o = try_kernel(never_ends, 0);
    EXPECT_EQ(o.trial, HCONV_FAILED);
    EXPECT_NE(o.sentence.find("not done after 1 s"), std::string::npos) << o.sentence;
}

TEST(Trial, TimedThreadsDoNotShareACore) {
    cpu_set_t all;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
    for (first_core = 0; !CPU_ISSET(first_core, &all);) ++first_core;
    Outcome o = try_kernel(wants_cores, 0);
    EXPECT_EQ(o.trial, HCONV_PASSED) << o.sentence;
}

TEST(Judge, SeesWrongSums) {
    for (Fault f : {wrong_tap, drops_remainder})
        for (hconv_fill_kind data : {HCONV_FILL_EXACT, HCONV_FILL_RANDOM}) {
            Outcome o = try_kernel(f, HCONV_TRIAL_ALL, data);
            EXPECT_EQ(o.trial, HCONV_PASSED) << o.sentence;
            EXPECT_FALSE(o.good) << "fault " << f << ", data " << data;
        }
}

} // namespace
