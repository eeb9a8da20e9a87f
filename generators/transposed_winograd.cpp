// transposed_winograd.cpp - a transposed window of 4 x 4, stride 2, by minimal filtering. Output y of phase y % 2 is, with
// f = (phase + pt) % 2 and e = y / 2 + (phase + pt) / 2, a filter of two taps: w[f + 2] in[e - 1] + w[f] in[e], columns alike.
// F(2,2) makes two of them, e and e + 1, from three products with in[e - 1] - in[e], in[e] and in[e] - in[e + 1]: differences of
// neighbours, which every phase and tile takes from one map of them.
// Y = A^T (sum_ci (G w_f G^T) o (B^T d B)) A,   out = act(Y + bias + residual)
// with 9 products a channel for 4 outputs of a phase instead of 16. G is two taps and their sum.
// SPDX-License-Identifier: MIT
#include "generators/transposed_winograd.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "generators/transposed.h"

namespace hconv {

using namespace Halide;

class TransposedWinograd : public ConvGenerator<TransposedWinograd, TransposedWinogradStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, TransposedWinogradStages &s) {
        const PhaseAxis ax(4, 2, 1, p.pad_left), ay(4, 2, 1, p.pad_top);
        auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) = inside_or_zero(s.ix, s.iy, t.extent("x", 'w'), t.extent("x", 'h'), in);
        auto column = [&](const Expr &x) {
            Expr here = s.padded(s.ci, x, s.iy, s.n);
            return mux(s.ky, {s.padded(s.ci, x, s.iy - 1, s.n) - here, here});
        };
        s.spectrum(s.ci, s.ix, s.iy, s.kx, s.ky, s.n) = mux(s.kx, {column(s.ix - 1) - column(s.ix), column(s.ix)});

        s.r = RDom(0, p.ci / s.parts, "r");
        const Expr c = s.part * (p.ci / s.parts) + s.r;
        auto row = [&](const Expr &u) {
            const Expr v = ax.first(s.px);
            return filter(s.i, t.parameter("weight", {s.co, c, u, v + 2}), t.parameter("weight", {s.co, c, u, v}));
        };
        const Expr window = filter(s.j, row(ay.first(s.py) + 2), row(ay.first(s.py)));
        Expr x = s.tx * 2 + ax.shift(s.px) + s.i / 2, y = s.ty * 2 + ay.shift(s.py) + s.j / 2;
        s.acc(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j, s.part) = 0.0f;
        s.acc(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j, s.part) +=
            window * s.spectrum(c, x, y, s.i % 2, s.j % 2, s.n);
        s.rproduct = RDom(0, s.parts, 0, s.taps, "rproduct");
        const Expr k = s.rproduct.y, product = s.acc(s.co, s.tx, s.ty, s.n, s.px, s.py, k, s.j, s.rproduct.x);
        const bool whole = s.parts == 1;  // then the first product has nothing to be added to
        s.half(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j) = whole ? undef<float>() : 0.0f;
        const Expr sums = s.half(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j);
        s.half(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j) = (whole ? select(k == s.i, 0.0f, sums) : sums) +
            select(k == 1, product, k != 2 * s.i, 0.0f, k == 0, product, -product);
        auto of_column = [&](int j) { return s.half(s.co, s.x / s.wide, s.y / s.wide, s.n, s.x % 2, s.y % 2, s.x / 2 % 2, j); };
        s.map(s.co, s.x, s.y, s.n) = mux(s.y / 2 % 2, {of_column(0) + of_column(1), of_column(1) - of_column(2)});

        Expr sum = s.map(s.co, s.x, s.y, s.n) + t.parameter("bias", {s.co});
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }

private:
    static Expr filter(const Expr &k, const Expr &before, const Expr &at) { return mux(k, {before, before + at, at}); }
};

}  // namespace hconv

HCONV_FORMULATION(hconv::TransposedWinograd, hconv::TransposedWinogradStages, transposed_winograd)
