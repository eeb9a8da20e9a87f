// spd.cpp - space to depth is an index: the convolution behind it has a window and a stride that are b times as large; behind a
// convolution it says where a block of channels lies. Schedules are conv2d's; alone it is a copy, a thread an element.
// SPDX-License-Identifier: MIT
#include "generators/spd.h"

#include "runtime/variants/spd.h"
#include "schedules/cuda/sum.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaReindexed : Schedule<SpdStages>, cuda::TileKnobs {
    CudaReindexed() : TileKnobs(this) {}
    static bool only(const Problem &p) { return p.extra[HCONV_ORDER] == HCONV_SPD_ONLY; }

    void defaults(const Problem &p, const Machine &) override {
        if (!only(p)) cuda::set_defaults(*this, p, term(p), cuda::Outputs::of(p, outputs(p), p.co / p.groups, ow(p), oh(p)));
    }
    bool feasible(const Problem &p, const Machine &) const override {
        return !only(p) && cuda::fits(*this, p, term(p), p.co / p.groups, ow(p), oh(p));
    }
    void apply(SpdStages &s, const Problem &p, const Target &) const override {
        cuda::convolve(s, *this, p, term(p), outputs(p), ow(p), oh(p));
    }

private:
    static int block(const Problem &p) { return p.extra[HCONV_BLOCK]; }
    static bool after(const Problem &p) { return p.extra[HCONV_ORDER] == HCONV_CONV_SPD; }
    static int outputs(const Problem &p) { return after(p) ? p.co * block(p) * block(p) : p.co; }
    static int ow(const Problem &p) { return cuda::output_size(p, 'w'); }
    static int oh(const Problem &p) { return cuda::output_size(p, 'h'); }
    static cuda::Term term(const Problem &p) {
        const int b = block(p);
        cuda::Term t = cuda::Term::of(p);
        t.stride_w *= b, t.stride_h *= b;
        // More groups take SPD's channels in an order that no range of the input's is.
        t.whole_step = p.groups == 1, t.whole_block = t.whole_step && !after(p);
        if (after(p)) return t;
        t.channels = p.ci * (p.groups > 1 ? b * b : 1) / p.groups;
        if (p.groups > 1) return t;
        t.kw = ((p.kw - 1) * p.dilation_w + 1) * b, t.kh = ((p.kh - 1) * p.dilation_h + 1) * b;
        t.dilation_w = t.dilation_h = 1;
        return t;
    }
};

struct CudaCopy : Schedule<SpdStages> {
    bool feasible(const Problem &p, const Machine &) const override { return CudaReindexed::only(p); }
    void apply(SpdStages &s, const Problem &p, const Target &) const override {
        cuda::bound_known_sizes(s.out, s.co, s.x, s.y, s.n, p.ci * p.extra[HCONV_BLOCK] * p.extra[HCONV_BLOCK], cuda::output_size(p, 'w'),
                                cuda::output_size(p, 'h'), p.n);
        const std::vector<Var> args{s.co, s.x, s.y, s.n}, planes{s.x, s.y, s.co, s.n};
        cuda::stage_global(s.out, p.nchw() ? planes : args, p.nchw() ? 1 : cuda::vector_of({p.ci}));
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::SpdStages, "cuda", reindexed, hconv::CudaReindexed)
HCONV_SCHEDULE(hconv::SpdStages, "cuda", copy, hconv::CudaCopy)
