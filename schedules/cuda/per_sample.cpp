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
        cuda::set_defaults(*this, p, cuda::Term::of(p), cuda::Outputs::of(p, p.co, p.co / p.groups, p.ow(), p.oh()));
    }
    bool feasible(const Problem &p, const Machine &) const override {
        return cuda::fits(*this, p, cuda::Term::of(p), p.co / p.groups, p.ow(), p.oh());
    }

    void apply(Stages &s, const Problem &p, const Target &) const override {
        for (const Func &f : s.head) head(f, s, p.nchw());
        cuda::stage_global(s.mixed, {s.co, s.ci, s.kx, s.ky, s.n}, cuda::vector_of({p.co}));
        if (s.mixed_bias.defined()) cuda::stage_global(s.mixed_bias, {s.co, s.n}, 1);
        cuda::convolve(s, *this, p, cuda::Term::of(p), p.co, p.ow(), p.oh());
    }

private:
    // What is no sum is read through. A sum over the image is one over its rows first, in nchw over its columns: lanes are
    // neighbours in memory. Any other is a thread's.
    static void head(Func f, const Stages &s, bool nchw) {
        if (!f.has_update_definition()) return;
        const std::vector<Var> args = f.args();
        const std::vector<RVar> r = f.rvars();
        if (r.size() == 2) {
            Var kept("kept");
            Func parts = f.update().rfactor(r[nchw ? 0 : 1], kept);
            parts.compute_root();
            for (Stage st : {Stage(parts), parts.update()}) threads(st, nchw ? std::vector<Var>{kept, s.ci, s.n} : std::vector<Var>{s.ci, kept, s.n});
        }
        f.compute_root();
        for (Stage st : {Stage(f), f.update()}) threads(st, args);
    }
    static void threads(Stage st, const std::vector<Var> &args) {
        Var all = args[0], block("block"), thread("thread");
        for (size_t i = 1; i < args.size(); ++i) st.fuse(all, args[i], all);
        st.gpu_tile(all, block, thread, 64, TailStrategy::GuardWithIf);
    }
};

}  // namespace hconv

namespace hconv::odconv_schedules {
HCONV_SCHEDULE(hconv::OdconvStages, "cuda", mixed, hconv::CudaMixed<hconv::OdconvStages>)
}
namespace hconv::condconv_schedules {
HCONV_SCHEDULE(hconv::CondconvStages, "cuda", mixed, hconv::CudaMixed<hconv::CondconvStages>)
}
