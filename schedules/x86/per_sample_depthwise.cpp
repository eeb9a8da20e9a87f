// per_sample_depthwise.cpp - a depthwise kernel a sample, lanes = channels: the head and the mixed kernels, which are small,
// come first; then xs x ys pixels of one vector of channels stay in registers while the window passes, as in depthwise.cpp.
// SPDX-License-Identifier: MIT
#include "generators/condconv.h"
#include "generators/odconv.h"
#include "schedules/generic.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"

namespace hconv {

using namespace Halide;

template<typename Stages>
struct MixedDepthwise : Schedule<Stages> {
    Knob xs{this, "xs", 7, {1, 2, 4, 6, 7, 8, 10, 12, 14}};  // output pixels in the block
    Knob ys{this, "ys", 1, {1, 2}};                          // output rows in the block
    Knob rows{this, "rows", 8, {2, 4, 8, 14, 28}};           // output rows a task

    void defaults(const Problem &p, const Machine &m) override {
        const int width = x86::width_of(p), height = x86::height_of(p);
        ys = m.vector_registers == 32 && p.stride_h == 1 && !p.open() && height % 2 == 0 ? 2 : 1;
        xs = x86::even_parts(width, m.lanes == 4 && m.vector_registers == 16 ? 4 : 7);
        rows = ys * x86::even_parts(height / ys, std::min(14 / ys, x86::ceil_div(height / ys, 2)));  // two tasks at least
    }

    bool feasible(const Problem &p, const Machine &m) const override {
        return p.groups == p.ci && p.ci == p.co && p.co > 1 && !p.nchw() && xs >= 1 && ys >= 1 && rows >= ys && rows % ys == 0 &&
               (ys == 1 || (!p.open() && p.oh() % ys == 0)) && xs <= x86::width_of(p) && x86::fits_registers({1, xs * ys}, m);
    }

    int preference(const Problem &) const override { return 2; }

    void apply(Stages &s, const Problem &p, const Target &t) const override {
        const Machine m = Machine::of(t);
        const int lanes = x86::whole_lanes(p.co, m);
        Var cb("cb"), cl("cl"), xo("xo"), xi("xi"), task("task"), yi("yi"), yu("yu");
        for (Func &f : s.head) schedule_generic(f, 0, false, t);
        s.mixed.compute_root().bound(s.co, 0, p.co).vectorize(s.co, lanes, TailStrategy::ShiftInwards);
        if (s.mixed_bias.defined())
            s.mixed_bias.compute_root().bound(s.co, 0, p.co).vectorize(s.co, lanes, TailStrategy::ShiftInwards);
        x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
        s.out.split(s.co, cb, cl, lanes, p.co % lanes ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
        Stage(s.out).split(s.y, yi, yu, int(ys), TailStrategy::RoundUp);
        x86::split_rows(s.out, yi, task, yi, rows / ys, p.oh() / ys);
        x86::specialize_widths(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), x86::widths_below(xs),
                               [&](Stage st, int width, TailStrategy tail) {
            st.split(s.x, xo, xi, width, tail).reorder({cl, xi, yu, cb, xo, yi, task, s.n}).vectorize(cl).unroll(xi).unroll(yu);
            x86::parallel_tasks(st, task, s.n, p.n);
            st.never_partition({task});
        }, false);
        x86::accumulate_in_registers(s.acc, s.out, cb, s.co, s.x, s.r, lanes, 1);
        s.acc.unroll(s.y).update().reorder({s.co, s.x, s.y, s.r.x, s.r.y, s.r.z}).unroll(s.y);
        if (p.kw * xs * ys <= 128) s.acc.update().unroll(s.r.y);
        if (p.kw * p.kh * xs * ys <= (m.multiplies_by_lane ? 128 : 700)) s.acc.update().unroll(s.r.z);
    }
};

}  // namespace hconv

namespace hconv::odconv_schedules {
HCONV_SCHEDULE(hconv::OdconvStages, "x86 arm", depthwise, hconv::MixedDepthwise<hconv::OdconvStages>)
}
namespace hconv::condconv_schedules {
HCONV_SCHEDULE(hconv::CondconvStages, "x86 arm", depthwise, hconv::MixedDepthwise<hconv::CondconvStages>)
}
