// per_sample.cpp - a kernel a sample, lanes = output channels: the head at root; the kernel of a block of outputs is
// mixed where its sums are made, so it is read from cache, and a block of co_vecs vectors x xs pixels stays in
// registers.
// SPDX-License-Identifier: MIT
#include "generators/condconv.h"
#include "generators/odconv.h"
#include "runtime/variants/experts.h"
#include "schedules/generic.h"
#include "schedules/schedule.h"
#include "schedules/x86/idioms.h"
#include "schedules/x86/planes.h"

namespace hconv {

using namespace Halide;

template<typename Stages>
struct Mixed : Schedule<Stages> {
    Knob co_vecs{this, "co_vecs", 2, {1, 2, 3, 4}};                // vectors of output channels in the block
    Knob xs{this, "xs", 6, {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}};  // output pixels in the block
    Knob rows{this, "rows", 8, {1, 2, 4, 8, 16, 32}};              // output rows that share a staged input

    void defaults(const Problem &p, const Machine &m) override {
        int lanes = x86::vector_lanes(p.co, m), ow = x86::size_or(p.ow(), 1000);
        x86::RegisterTile tile = x86::best_tile(x86::ceil_div(p.co, lanes), ow, m);
        co_vecs = tile.vectors, xs = x86::even_parts(ow, tile.scalars);
        rows = x86::rows_of(p, m);
        // Where every task mixes the kernel again: sums enough to make little of it, but two tasks.
        const int oh = x86::size_or(p.oh(), 64), enough = x86::ceil_div(16 * p.extra[HCONV_EX], ow), half = x86::ceil_div(oh, 2);
        if (!blocks_outside(p, channels(p, m))) rows = enough <= half ? std::clamp<int>(rows, enough, half) : std::min(2 * enough, oh);
    }

    bool feasible(const Problem &p, const Machine &m) const override {
        return p.groups == 1 && rows >= 1 && co_vecs >= 1 && xs >= 1 && xs <= x86::size_or(p.ow(), 1000) &&
               x86::fits_registers({co_vecs, xs}, m);
    }

    bool promising(const Problem &p, const Machine &m) const override {
        const int width = x86::size_or(p.ow(), 1000);
        return x86::is_busy({co_vecs, xs}, x86::ceil_div(p.co, x86::vector_lanes(p.co, m)), width) && x86::is_other_task(rows, x86::size_or(p.oh(), 64));
    }

    std::string layout(const hconv_tensor &t, const Problem &p, const Machine &m) const override {
        const std::string name = t.name, letters = t.letters, o = std::to_string(channels(p, m).size()) + "o";
        const bool of_outputs = name.rfind("filter_fc.", 0) == 0 || name.find('.') == std::string::npos;
        if (letters == "eoihw") return "Oehwi" + o;
        if (letters == "eo") return "Oe" + o;
        if (letters == "oi" && of_outputs) return "Oi" + o;
        return letters == "o" && of_outputs ? "O" + o : "";
    }

    void apply(Stages &s, const Problem &p, const Target &t) const override {
        const Machine m = Machine::of(t);
        const x86::ChannelBlocks co = channels(p, m);
        const bool outside = blocks_outside(p, co);
        Var xo("xo"), xi("xi"), task("task"), yi("yi");
        for (size_t i = 0; i < s.head.size(); ++i) {
            if (i == 0 && p.nchw()) x86::sum_along_rows(s.head[i], s.ci, m);
            else schedule_generic(s.head[i], 0, false, t);
        }
        x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
        Var lane("ml"), vector("mv");
        s.mixed.compute_at(s.out, co.block).bound_extent(s.co, co.size()).split(s.co, vector, lane, co.lanes);
        s.mixed.reorder(lane, s.n, vector, s.ci, s.kx, s.ky).vectorize(lane).unroll(vector);
        if (samples(p, co) > 1) s.mixed.unroll(s.n);
        if (s.mixed_bias.defined())
            s.mixed_bias.compute_at(s.out, co.block).bound_extent(s.co, co.size()).vectorize(s.co, co.lanes);
        s.acc.bound_extent(s.co, co.size());
        if (p.nchw()) return planes(s, p, co, m);
        x86::split_channels(s.out, s.co, co, p);
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        x86::specialize_widths(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), x86::widths_below(xs),
                               [&](Stage st, int width, TailStrategy tail) {
            st.split(s.x, xo, xi, width, tail).never_partition_all();
            st.vectorize(co.lane).unroll(co.unrolled).unroll(xi);
            order(st, {co.lane, co.unrolled, xi, xo, yi}, s, p, co, task);
        });
        x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, co.lanes, 1);
        x86::multiply_by_lanes(s.acc, 0, s.padded, s.ci, s.ix, s.r.x, p.ci, m);
        if (p.has_padding() && outside) x86::stage_input(s.padded, s.ci, s.iy, p.ci, m);
        else if (p.has_padding()) x86::stage_rows(s.padded, s.out, task, s.ci, p.ci, m);
    }

private:
    // Samples whose kernels are mixed together: each expert's weights are read once for all.
    static int samples(const Problem &p, const x86::ChannelBlocks &co) {
        return !blocks_outside(p, co) || p.n == HCONV_OPEN ? 1 : p.n % 4 == 0 ? 4 : p.n % 2 == 0 ? 2 : 1;
    }
    void order(Stage st, std::vector<VarOrRVar> loops, const Stages &s, const Problem &p, const x86::ChannelBlocks &co,
               const Var &task) const {
        if (!blocks_outside(p, co)) {
            loops.insert(loops.end(), {co.block, task, s.n});
            st.reorder(loops);
            return x86::parallel_tasks(st, task, s.n, p.n);
        }
        Var sample("sample");
        st.split(s.n, s.n, sample, samples(p, co), TailStrategy::RoundUp);
        loops.insert(loops.end(), {task, sample, s.n, co.block});
        st.reorder(loops);
        if (p.n != 1) st.fuse(s.n, co.block, co.block);
        st.parallel(co.block);
    }
    void planes(Stages &s, const Problem &p, const x86::ChannelBlocks &co, const Machine &m) const {
        const bool outside = blocks_outside(p, co);
        Var task("task"), yi("yi");
        x86::PlaneLoops v;
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        Func scratch = x86::rows_to_planes(s.out, s.acc, s.co, s.x, yi, co, v, p, m, xs);
        order(s.out, {v.lane, v.plane, s.x, co.unrolled, yi}, s, p, co, task);
        x86::accumulate_in_registers(s.acc, scratch, v.xo, s.co, s.x, s.r, co.lanes, 1);
        if (p.has_padding() && outside) x86::stage_input_planes(s.padded, s.ci, s.ix, s.iy, s.n, m);
        else if (p.has_padding()) x86::stage_planes(s.padded, s.out, task, s.ci, s.ix, s.iy, s.n, m);
    }
    x86::ChannelBlocks channels(const Problem &p, const Machine &m) const {
        x86::ChannelBlocks co;
        co.lanes = x86::vector_lanes(p.co, m), co.vectors = co_vecs;
        return co;
    }
    // Tasks are blocks of outputs where there are many: each kernel is mixed once. Else tasks are rows.
    static bool blocks_outside(const Problem &p, const x86::ChannelBlocks &co) {
        return x86::ceil_div(p.co, co.size()) >= 4;
    }
};

}  // namespace hconv

namespace hconv::odconv_schedules {
HCONV_SCHEDULE(hconv::OdconvStages, "x86 arm", mixed, hconv::Mixed<hconv::OdconvStages>)
}
namespace hconv::condconv_schedules {
HCONV_SCHEDULE(hconv::CondconvStages, "x86 arm", mixed, hconv::Mixed<hconv::CondconvStages>)
}
