// conv2d.cpp - direct convolution: a warp's lanes are output channels, so weights are read side by side and inputs by all
// lanes at once; a thread keeps channels x pixels sums in registers for the whole sum. The input of a block lies in shared
// memory with its zeros; without padding it is read in place. nchw: lanes are pixels of a row, a thread has channels x rows.
// SPDX-License-Identifier: MIT
#include "generators/conv2d.h"

#include "schedules/cuda/sum.h"
#include "schedules/schedule.h"

namespace hconv {

using namespace Halide;

struct CudaDirect : Schedule<Conv2dStages>, cuda::TileKnobs {
    CudaDirect() : TileKnobs(this) {}

    void defaults(const Problem &given, const Machine &) override {
        const Problem p = given.as_map();
        cuda::set_defaults(*this, p, cuda::Term::of(p), cuda::Outputs::of(p, p.co, p.co / p.groups, p.ow(), p.oh()));
    }
    bool feasible(const Problem &given, const Machine &) const override {
        const Problem p = given.as_map();
        return cuda::fits(*this, p, cuda::Term::of(p), p.co / p.groups, p.ow(), p.oh());
    }
    void apply(Conv2dStages &s, const Problem &p, const Target &) const override {
        cuda::convolve(s, *this, p, cuda::Term::of(p), p.co, p.ow(), p.oh());
    }
};

}  // namespace hconv

HCONV_SCHEDULE(hconv::Conv2dStages, "cuda", direct, hconv::CudaDirect)
