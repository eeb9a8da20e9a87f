// threads_test.cpp - other people's thread pools, nested ones among them, and many threads on one plan: the same bits.
// SPDX-License-Identifier: MIT
#include "application.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace {

int reversed(void *, int count, int (*task)(void *, int), void *arg) {
    int error = 0;
    for (int i = count - 1; i >= 0; --i) error |= task(arg, i);
    return error;
}
int one_thread_each(void *, int count, int (*task)(void *, int), void *arg) {
    std::vector<std::thread> threads;
    std::atomic<int> error{0};
    for (int i = 0; i < count; ++i) threads.emplace_back([&, i] { error |= task(arg, i); });
    for (std::thread &t : threads) t.join();
    return error;
}
int serial(void *, int count, int (*task)(void *, int), void *arg) {
    int error = 0;
    for (int i = 0; i < count; ++i) error |= task(arg, i);
    return error;
}
int refuses(void *, int, int (*)(void *, int), void *) { return 1; }

TEST(Threads, AnyPoolGivesTheSameBits) {
    for (auto pool : {serial, reversed, one_thread_each, static_cast<decltype(&serial)>(nullptr)})
        for (int threads = 1; threads <= 8; ++threads) { // and four tasks: fewer than the workers
            Services services;
            hconv_context_options options = services.options();
            options.parallel_for = pool, options.num_threads = threads;
            Context ctx = make_context(options, {&fake_library});
            Plan plan = make_plan(ctx, FAKE_FIXED);
            Call call(plan);
            std::fill(call.y.begin(), call.y.end(), -1.0f);
            EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
            EXPECT_TRUE(call.correct()) << threads << " threads";
        }
}

TEST(Threads, APoolThatRefusesIsAnError) {
    Services services;
    hconv_context_options options = services.options();
    options.parallel_for = refuses, options.num_threads = 2;
    Context ctx = make_context(options, {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    Call call(plan);
    EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_INTERNAL);
}

TEST(Threads, SixteenRunOnePlanAtOnce) {
    hconv_context_options options{};
    options.struct_size = sizeof options;
    options.num_threads = 4; // the built-in pool
    Context ctx = make_context(options, {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t)
        threads.emplace_back([&, t] {
            Call call(plan);
            if (t % 2) call.args.workspace = nullptr, call.args.workspace_bytes = 0;
            for (int i = 0; i < 200; ++i) {
                std::fill(call.y.begin(), call.y.end(), -1.0f);
                wrong += hconv_run(plan.get(), &call.args) != HCONV_OK || !call.correct();
            }
        });
    for (std::thread &t : threads) t.join();
    EXPECT_EQ(wrong, 0);
}

// Helpers and callers that found nothing to do for a while sleep, and must be woken.
TEST(Threads, TheBuiltInPoolWakesFromSleep) {
    for (int workers : {2, 8}) { // 8: more than cores, on most machines, so that nobody looks before he sleeps
        hconv_context_options options{};
        options.struct_size = sizeof options;
        options.num_threads = workers;
        Context ctx = make_context(options, {&fake_library});
        Plan plan = make_plan(ctx, FAKE_FIXED);
        Call call(plan);
        for (int i = 0; i < 300; ++i) {
            std::fill(call.y.begin(), call.y.end(), -1.0f);
            ASSERT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
            ASSERT_TRUE(call.correct());
            if (i % 3) std::this_thread::sleep_for(std::chrono::microseconds(i % 3 * 700));
        }
    }
}

// An application's pool whose tasks may start loops of their own: who waits works.
class Pool {
public:
    explicit Pool(int count) {
        for (int i = 0; i < count; ++i)
            threads.emplace_back([this] {
                std::unique_lock<std::mutex> hold(lock);
                while (!stop) {
                    if (!take_one(hold)) wake.wait(hold);
                }
            });
    }
    ~Pool() {
        {
            std::lock_guard<std::mutex> hold(lock);
            stop = true;
        }
        wake.notify_all();
        for (std::thread &t : threads) t.join();
    }
    int run(int count, const std::function<int(int)> &task) {
        int left = count, error = 0;
        std::unique_lock<std::mutex> hold(lock);
        for (int i = 0; i < count; ++i)
            jobs.push_back([&, i] {
                int failed = task(i);
                std::lock_guard<std::mutex> inner(lock);
                error |= failed;
                if (--left == 0) wake.notify_all();
            });
        wake.notify_all();
        while (left > 0)
            if (!take_one(hold) && left > 0) wake.wait(hold);
        return error;
    }
    static int parallel_for(void *user, int count, int (*task)(void *, int), void *arg) {
        return static_cast<Pool *>(user)->run(count, [=](int i) { return task(arg, i); });
    }

private:
    bool take_one(std::unique_lock<std::mutex> &hold) {
        if (jobs.empty()) return false;
        std::function<void()> job = std::move(jobs.back());
        jobs.pop_back();
        hold.unlock();
        job();
        hold.lock();
        return true;
    }
    std::mutex lock;
    std::condition_variable wake;
    std::deque<std::function<void()>> jobs;
    std::vector<std::thread> threads;
    bool stop = false;
};

hconv_context_options with_pool(decltype(hconv_context_options::parallel_for) pool, void *user, int threads) {
    hconv_context_options o{};
    o.struct_size = sizeof o;
    o.parallel_for = pool, o.user = user, o.num_threads = threads;
    return o;
}

// A run inside a task of the pool that the run itself uses.
TEST(Threads, RunsNestInTheApplicationsPool) {
    Pool pool(3);
    for (int workers = 1; workers <= 8; ++workers) {
        Context ctx = make_context(with_pool(Pool::parallel_for, &pool, workers), {&fake_library});
        Plan plan = make_plan(ctx, FAKE_FIXED);
        int wrong = pool.run(16, [&](int) {
            Call call(plan);
            return hconv_run(plan.get(), &call.args) != HCONV_OK || !call.correct() ? 1 : 0;
        });
        EXPECT_EQ(wrong, 0) << workers << " workers";
    }
}

// The built-in pool serves one run at a time: one that is started inside a task of another pool does its tasks alone.
TEST(Threads, TheBuiltInPoolServesTasksOfAnother) {
    Pool pool(3);
    Context ctx = make_context(with_pool(nullptr, nullptr, 4), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    EXPECT_EQ(pool.run(32, [&](int) {
        Call call(plan);
        return hconv_run(plan.get(), &call.args) != HCONV_OK || !call.correct() ? 1 : 0;
    }), 0);
}

thread_local std::unique_ptr<Pool> own_pool;
int on_own_pool(void *, int count, int (*task)(void *, int), void *arg) {
    if (!own_pool) own_pool = std::make_unique<Pool>(2);
    return Pool::parallel_for(own_pool.get(), count, task, arg);
}

TEST(Threads, SixteenRunOnePlanOnPoolsOfTheirOwn) {
    Context ctx = make_context(with_pool(on_own_pool, nullptr, 5), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t)
        threads.emplace_back([&] {
            Call call(plan);
            for (int i = 0; i < 20; ++i) {
                std::fill(call.y.begin(), call.y.end(), -1.0f);
                wrong += hconv_run(plan.get(), &call.args) != HCONV_OK || !call.correct();
            }
            own_pool.reset();
        });
    for (std::thread &t : threads) t.join();
    EXPECT_EQ(wrong, 0);
}

std::atomic<int> most_workers;
int counts(void *, int count, int (*task)(void *, int), void *arg) {
    if (count > most_workers) most_workers = count;
    return serial(nullptr, count, task, arg);
}

TEST(Threads, NoMoreWorkersThanTasks) {
    most_workers = 0;
    Context ctx = make_context(with_pool(counts, nullptr, 64), {&fake_library});
    Plan plan = make_plan(ctx, FAKE_FIXED);
    Call call(plan);
    EXPECT_EQ(hconv_run(plan.get(), &call.args), HCONV_OK);
    EXPECT_TRUE(call.correct());
    EXPECT_EQ(most_workers, 4);
}

} // namespace
