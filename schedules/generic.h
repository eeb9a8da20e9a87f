// generic.h - the floor, for any Stages on any target: each of all() at root, the innermost dimension vectorised, rows in
// parallel; on a GPU, tiles of the two innermost dimensions. Everything works before it is fast.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/schedule.h"

namespace hconv {

// One stage: every definition of f, its reduction loops just outside the vector. inner: position of the dimension that is
// contiguous in memory.
void schedule_generic(Halide::Func f, size_t inner, bool output, const Halide::Target &target);

template<typename Stages>
class Generic : public Schedule<Stages> {
public:
    int preference(const Problem &) const override { return 0; }
    std::string layout(const hconv_tensor &t, const Problem &, const Machine &) const override {
        return FormulationOf<Stages>::layout(t);
    }
    void apply(Stages &s, const Problem &p, const Halide::Target &target) const override {
        for (const Halide::Func &f : s.all())
            schedule_generic(f, p.nchw() && f.dimensions() == 4 ? 1 : 0, s.is_output(f), target);
    }
};

template<typename Stages>
std::unique_ptr<Schedule<Stages>> make_generic() {
    auto s = std::make_unique<Generic<Stages>>();
    s->name = schedule_name(FormulationOf<Stages>::name, "generic");
    return s;
}

}  // namespace hconv
