// per_sample.cpp - a kernel a sample: the sums over the image by rows, then few small kernels for the network on it, one that mixes
// each sample's weights, and conv2d's schedule, which reads them as it would read parameters.
// SPDX-License-Identifier: MIT
#include "generators/condconv.h"
#include "generators/odconv.h"
#include "schedules/cuda/sum.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

template<typename Stages>
struct CudaMixed : Schedule<Stages>, cuda::TileKnobs {
    CudaMixed() : TileKnobs(this) {}

    void defaults(const Problem &p, const Machine &) override {
        const int images = cuda::size_or(p.n, 1), rows = cuda::size_or(p.oh(), 56);
        cuda::Tile t = cuda::best_tile(p.co / p.groups, cuda::size_or(p.ow(), 56), rows * images * p.groups, p.stride_w, p.kw <= 7 && p.dilation_w <= 2 ? p.kw : 1);
        if (p.groups > 1) t.ct = cuda::even_parts(p.co / t.channels, 64), t.yt = std::clamp(128 / (t.ct * t.xt), 1, std::min(rows, 8));
        t = cuda::shrunk(terms(p), t);
        set(t);
        shared = p.has_padding() && cuda::shared_bytes(terms(p), t) <= cuda::most_shared;
    }

    bool feasible(const Problem &p, const Machine &) const override {
        return !p.nchw() && channels >= 1 && pixels >= 1 && (p.co / p.groups) % channels == 0 && pixels <= cuda::size_or(p.ow(), 8) && ct >= 1 &&
               xt >= 1 && yt >= 1 && ct * xt * yt <= 512 && channels * pixels <= 64 &&
               (!shared || cuda::shared_bytes(terms(p), tile()) <= cuda::most_shared);
    }

    void apply(Stages &s, const Problem &p, const Target &) const override {
        for (const Func &f : s.head) head(f, s);
        cuda::stage_global(s.mixed, {s.co, s.ci, s.kx, s.ky, s.n}, cuda::vector_of({p.co}));
        if (s.mixed_bias.defined()) cuda::stage_global(s.mixed_bias, {s.co, s.n}, 1);
        cuda::convolve(s, *this, terms(p).front(), p.co, p.ow(), p.oh(), p.n);
    }

private:
    // What is no sum is read through. A sum over the image is one over its rows first; any other is a thread's.
    static void head(Func f, const Stages &s) {
        if (!f.has_update_definition()) return;
        const std::vector<Var> args = f.args();
        const std::vector<RVar> r = f.rvars();
        if (r.size() == 2) {
            Var row("row");
            Func rows = f.update().rfactor(r[1], row);
            rows.compute_root();
            for (Stage st : {Stage(rows), rows.update()}) threads(st, {s.ci, row, s.n});
        }
        f.compute_root();
        for (Stage st : {Stage(f), f.update()}) threads(st, args);
    }
    static void threads(Stage st, const std::vector<Var> &args) {
        Var all = args[0], block("block"), thread("thread");
        for (size_t i = 1; i < args.size(); ++i) st.fuse(all, args[i], all);
        st.gpu_tile(all, block, thread, 64, TailStrategy::GuardWithIf);
    }
    static std::vector<cuda::Term> terms(const Problem &p) {
        cuda::Term t{};
        t.channels = p.ci / p.groups, t.all_channels = p.ci;
        t.kw = p.kw, t.kh = p.kh, t.stride_w = p.stride_w, t.stride_h = p.stride_h, t.dilation_w = p.dilation_w, t.dilation_h = p.dilation_h;
        t.padding = p.has_padding();
        return {t};
    }
};

}  // namespace hconv

namespace hconv::odconv_schedules {
HCONV_SCHEDULE(hconv::OdconvStages, "cuda", mixed, hconv::CudaMixed<hconv::OdconvStages>)
}
namespace hconv::condconv_schedules {
HCONV_SCHEDULE(hconv::CondconvStages, "cuda", mixed, hconv::CudaMixed<hconv::CondconvStages>)
}
