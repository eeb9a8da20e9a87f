// bad_schedules.cpp - schedules of conv2d that go wrong in every way a candidate can, linked into a copy of the command for
// tests/tools/tune_test.py: a tuner records each with its reason and goes on.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/schedule.h"

#include <cstdlib>
#include <memory>
#include <unistd.h>
#include <vector>

namespace hconv {

using namespace Halide;

struct Bad : Schedule<Conv2dStages> {
    int preference(const Problem &) const override { return -1; }
    bool feasible(const Problem &p, const Machine &) const override { return p.ci == 8 && p.co == 16 && p.groups == 1; }
};

struct NeverCompiles : Bad {
    void apply(Conv2dStages &, const Problem &, const Target &) const override {
        while (true) pause();
    }
};

struct CompilerCrashes : Bad {
    void apply(Conv2dStages &, const Problem &, const Target &) const override { std::abort(); }
};

struct CompilerEatsMemory : Bad {
    void apply(Conv2dStages &, const Problem &, const Target &) const override {
        for (std::vector<std::unique_ptr<char[]>> all;;) all.emplace_back(new char[size_t(1) << 28]);
    }
};

struct KernelCrashes : Bad {
    void apply(Conv2dStages &s, const Problem &, const Target &) const override {
        RDom r(0, 8);
        s.out(s.co, s.x, (r + 1) << 20, s.n) = 0.0f;
    }
};

struct KernelHangs : Bad {
    void apply(Conv2dStages &s, const Problem &, const Target &) const override {
        RDom r(0, 2000000000);
        s.out(s.co, s.x, s.y, s.n) = s.out(s.co, s.x, s.y, s.n) * 0.999f + cast<float>(r % 3);
    }
};

struct KernelIsWrong : Bad {
    void apply(Conv2dStages &s, const Problem &, const Target &) const override { s.out(s.co, s.x, s.y, s.n) += 1.0f; }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "x86", bad_never_compiles, hconv::NeverCompiles)
HCONV_SCHEDULE(hconv::Conv2dStages, "x86", bad_compiler_crashes, hconv::CompilerCrashes)
HCONV_SCHEDULE(hconv::Conv2dStages, "x86", bad_compiler_memory, hconv::CompilerEatsMemory)
HCONV_SCHEDULE(hconv::Conv2dStages, "x86", bad_kernel_crashes, hconv::KernelCrashes)
HCONV_SCHEDULE(hconv::Conv2dStages, "x86", bad_kernel_hangs, hconv::KernelHangs)
HCONV_SCHEDULE(hconv::Conv2dStages, "x86", bad_kernel_wrong, hconv::KernelIsWrong)
