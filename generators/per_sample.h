// per_sample.h - what the variants with a kernel a sample share: a small network on the pooled input, the mixing of
// kernels, and the convolution by the mixed one. Their stages, too, for schedules.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "generators/tensors.h"

#include <Halide.h>

#include <functional>

namespace hconv {

struct PerSampleStages {
    Halide::Var co{"co"}, x{"x"}, y{"y"}, n{"n"}, ci{"ci"}, kx{"kx"}, ky{"ky"}, ix{"ix"}, iy{"iy"}, block{"block"};
    Halide::RDom r;                  // input channel within the group, kx, ky
    std::vector<Halide::Func> head;  // the network on the pooled input, in order: (unit, n) or (n)
    Halide::Func mixed{"mixed"};     // (co, ci in group, kx, ky, n): the kernel of each sample
    Halide::Func blocked{"blocked"}; // (co in block, ci, kx, ky, block, n): mixed, by blocks as weights are; undefined without
    Halide::Func mixed_bias;         // (co, n); undefined where no bias is mixed
    Halide::Func padded{"padded"};   // (ci, ix, iy, n): the input with zeros around it
    Halide::Func acc{"acc"};         // pure: bias; update 0: multiply-accumulate over r
    Halide::Func out{"out"};         // activation(acc + residual)
    std::vector<Halide::Func> outputs() const { return {out}; }
    std::vector<Halide::Func> all() const {
        std::vector<Halide::Func> list = head;
        list.push_back(mixed);
        if (mixed_bias.defined()) list.push_back(mixed_bias);
        list.insert(list.end(), {padded, acc, out});
        return list;
    }
    bool is_output(const Halide::Func &f) const { return f.name() == out.name(); }
};

// The network: every member makes stages of s.head and returns the last, a value a unit and sample.
class Head {
public:
    Head(const Tensors &tensors, PerSampleStages &stages) : t(tensors), s(stages) {}
    Halide::Func pooled();  // mean of each of x's channels
    // name.weight in (+ name.bias).
    Halide::Func layer(const std::string &name, const Halide::Func &in, int inputs, bool bias = true);
    Halide::Func relu(const std::string &name, const Halide::Func &in);
    Halide::Func sigmoid(const std::string &name, const Halide::Func &in);
    Halide::Func softmax(const std::string &name, const Halide::Func &in, int count);

private:
    Halide::Func &add(const std::string &name);
    const Tensors &t;
    PerSampleStages &s;
};

// sum_e routing(e) value(e).
Halide::Expr mix(int experts, const std::function<Halide::Expr(int)> &routing,
                 const std::function<Halide::Expr(int)> &value);

// padded, acc and out: activation(bias + mixed * x + residual).
void convolve_by_mixed(const Problem &p, const Tensors &t, PerSampleStages &s, const Halide::Expr &bias);

}  // namespace hconv
