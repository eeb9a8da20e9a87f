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
        // Where every task mixes the kernel again: sums enough to make little of it.
        int oh = x86::size_or(p.oh(), 64), enough = x86::ceil_div(32 * p.extra[HCONV_EX], ow);
        if (!blocks_outside(p, m)) rows = std::max<int>(rows, std::min(enough, oh));
    }

    bool feasible(const Problem &p, const Machine &m) const override {
        return !p.nchw() && p.groups == 1 && rows >= 1 && co_vecs >= 1 && xs >= 1 && xs <= x86::size_or(p.ow(), 1000) &&
               x86::fits_registers({co_vecs, xs}, m);
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
        const bool outside = blocks_outside(p, m);
        Var xo("xo"), xi("xi"), task("task"), yi("yi");
        for (const Func &f : s.head) schedule_generic(f, 0, false, t);
        x86::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p);
        x86::split_channels(s.out, s.co, co, p);
        x86::split_rows(s.out, s.y, task, yi, rows, p.oh());
        x86::specialize_widths(s.out, s.out.output_buffer().dim(1).extent(), p.ow(), x86::widths_below(xs),
                               [&](Stage st, int width, TailStrategy tail) {
            st.split(s.x, xo, xi, width, tail).never_partition_all();
            st.reorder({co.lane, co.unrolled, xi, xo, yi, outside ? task : co.block, outside ? co.block : task, s.n});
            st.vectorize(co.lane).unroll(co.unrolled).unroll(xi);
            x86::parallel_tasks(st, outside ? co.block : task, s.n, p.n);
        });
        s.acc.bound_extent(s.co, co.size());
        x86::accumulate_in_registers(s.acc, s.out, xo, s.co, s.x, s.r, co.lanes, 1);
        s.mixed.compute_at(s.out, co.block).bound_extent(s.co, co.size()).vectorize(s.co, co.lanes);
        if (s.mixed_bias.defined())
            s.mixed_bias.compute_at(s.out, co.block).bound_extent(s.co, co.size()).vectorize(s.co, co.lanes);
        if (p.has_padding() && outside) x86::stage_input(s.padded, s.ci, s.iy, p.ci, m);
        else if (p.has_padding()) x86::stage_rows(s.padded, s.out, task, s.ci, p.ci, m);
    }

private:
    x86::ChannelBlocks channels(const Problem &p, const Machine &m) const {
        x86::ChannelBlocks co;
        co.lanes = x86::vector_lanes(p.co, m), co.vectors = co_vecs;
        return co;
    }
    // Tasks are blocks of outputs where there are many: each kernel is mixed once. Else tasks are rows.
    bool blocks_outside(const Problem &p, const Machine &m) const {
        return x86::ceil_div(p.co, channels(p, m).size()) >= 4;
    }
};

}  // namespace hconv

namespace hconv::odconv_schedules {
HCONV_SCHEDULE(hconv::OdconvStages, "x86", mixed, hconv::Mixed<hconv::OdconvStages>)
}
namespace hconv::condconv_schedules {
HCONV_SCHEDULE(hconv::CondconvStages, "x86", mixed, hconv::Mixed<hconv::CondconvStages>)
}
