// transposed_winograd.cpp - a transposed window of 4 x 4, stride 2, by minimal filtering. Output y is, with e = (y + pt) / 2 and
// f = (y + pt) % 2, a filter of two taps: w[f + 2] in[e - 1] + w[f] in[e], columns alike. F(3,2) makes three of them from four
// inputs; both phases f of an axis read the same inputs:
// Y_f = A^T (sum_ci (G w_f G^T) o (B^T d B)) A,   out = act(Y + bias + residual)
// with 16 products a channel for 9 outputs of a phase instead of 36. The transformed windows of both phases are in the packed
// weights (runtime/transforms.c), phase f's rows at 4 f.
// SPDX-License-Identifier: MIT
#include "generators/transposed_winograd.h"

#include "generators/algebra.h"
#include "generators/generator.h"

namespace hconv {

using namespace Halide;
using Exprs = std::vector<Expr>;

class TransposedWinograd : public ConvGenerator<TransposedWinograd, TransposedWinogradStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, TransposedWinogradStages &s) {
        const int block = t.parameter_block("weight", 'i'), wide = s.wide;
        Expr w = t.extent("x", 'w'), h = t.extent("x", 'h');
        Expr ow = (w - 1) * 2 + (4 - p.pad_right + p.out_pad_w), oh = (h - 1) * 2 + (4 - p.pad_bottom + p.out_pad_h);
        Expr columns = Internal::simplify((ow + (wide - 1)) / wide), rows = Internal::simplify((oh + (wide - 1)) / wide);
        auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) = inside_or_zero(s.ix, s.iy, w, h, in);

        Expr first_x = s.t % columns * 3 - 1, first_y = (p.n == 1 ? s.t / columns : s.t / columns % rows) * 3 - 1;
        Expr image = p.n == 1 ? Expr(0) : s.t / (columns * rows);
        s.rows(s.c, s.q, s.t, s.j, s.cb) = mux(s.j, forward([&](int k) {
            return s.padded(s.cb * block + s.c, first_x + s.q, first_y + k, image);
        }));
        s.spectrum(s.c, s.t, s.i, s.j, s.cb) = mux(s.i, forward([&](int k) { return s.rows(s.c, k, s.t, s.j, s.cb); }));

        s.r = RDom(0, block, 0, p.ci / block, "r");
        s.acc(s.co, s.t, s.fx, s.fy, s.i, s.j) = 0.0f;
        s.acc(s.co, s.t, s.fx, s.fy, s.i, s.j) +=
            t.parameter("weight", {s.co, s.r.y * block + s.r.x, s.fy * s.taps + s.j, s.fx * s.taps + s.i}) *
            s.spectrum(s.r.x, s.t, s.i, s.j, s.r.y);
        Expr tile = (s.n * rows + s.ty) * columns + s.tx;
        s.half(s.co, s.tx, s.ty, s.n, s.fx, s.i, s.j) =
            mux(s.j, inverse([&](int f, int k) { return s.acc(s.co, tile, s.fx, f, s.i, k); }));
        s.result(s.co, s.tx, s.ty, s.n, s.i, s.j) =
            mux(s.i, inverse([&](int f, int k) { return s.half(s.co, s.tx, s.ty, s.n, f, k, s.j); }));
        s.map(s.co, s.x, s.y, s.n) = s.result(s.co, s.x / wide, s.y / wide, s.n, s.x % wide, s.y % wide);

        Expr sum = s.map(s.co, s.x + p.pad_left, s.y + p.pad_top, s.n) + t.parameter("bias", {s.co});
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }

private:
    // B^T d at the points 0, 1, -1, infinity.
    static Exprs forward(const std::function<Expr(int)> &d) {
        return {d(0) - d(2), d(1) + d(2), d(2) - d(1), d(3) - d(1)};
    }
    // A^T of both phases' products: outputs of phase 0 and 1 in turn.
    static Exprs inverse(const std::function<Expr(int, int)> &s) {
        Exprs list;
        for (int k = 0; k < 3; ++k)
            for (int f = 0; f < 2; ++f)
                list.push_back(k == 0   ? s(f, 0) + s(f, 1) + s(f, 2)
                               : k == 1 ? s(f, 1) - s(f, 2)
                                        : s(f, 1) + s(f, 2) + s(f, 3));
        return list;
    }
};

}  // namespace hconv

HCONV_FORMULATION(hconv::TransposedWinograd, hconv::TransposedWinogradStages, transposed_winograd)
