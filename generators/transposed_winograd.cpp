// transposed_winograd.cpp - a transposed window of 4 x 4, stride 2, by minimal filtering. Output y of phase y % 2 is, with
// f = (phase + pt) % 2 and e = y / 2 + (phase + pt) / 2, a filter of two taps: w[f + 2] in[e - 1] + w[f] in[e], columns alike.
// F(m,2) makes m of them, from e on, of m + 1 products. F(2,2)'s inputs are differences of neighbours, which every phase and tile
// takes from one map of them; those of F(4,2) belong to a tile and to a shift, e - y / 2, of its phases.
// Y = A^T (sum_ci (G w_f G^T) o (B^T d B)) A,   out = act(Y + bias + residual)
// with (m + 1)^2 products a channel for m^2 outputs of a phase instead of 4 m^2.
// SPDX-License-Identifier: MIT
#include "generators/transposed_winograd.h"

#include "generators/algebra.h"
#include "generators/generator.h"
#include "generators/transposed.h"

namespace hconv {

using namespace Halide;
using Exprs = std::vector<Expr>;
using Each = const std::function<Expr(int)> &;

// The finite points of F(m,2). Those of F(4,2) are 0, +-a, b: they give the least rounding of those of which two are opposite.
constexpr float a = 1.5f, b = 0.5f, a2 = a * a;

static std::vector<float> points(int m) { return m == 2 ? std::vector<float>{0, 1} : std::vector<float>{0, a, -a, b}; }

// B^T d: what each product multiplies; F(2,2)'s third is the first of the next input on.
static Exprs forward(int m, Each d) {
    if (m == 2) return {d(1) - d(0), d(1)};
    Expr even = d(3) - b * d(2), odd = a * (d(2) - b * d(1)), low = d(3) - a2 * d(1);
    return {low - b * (d(2) - a2 * d(0)), even + odd, even - odd, low, d(4) - a2 * d(2) - b * low};
}

// Row k of G w: the taps' polynomial at a point.
static Expr filter(int m, const Expr &k, const Expr &before, const Expr &at) {
    Exprs rows;
    for (float point : points(m)) rows.push_back(point == 0 ? before : before + point * at);
    rows.push_back(at);
    return mux(k, rows);
}

// Row i of A^T: powers of each point over the product of its distances from the others.
static Exprs inverse(int m, const Expr &i) {
    Exprs row;
    for (float point : points(m)) {
        double power = 1;
        for (float other : points(m)) power /= other == point ? 1 : point - other;
        Exprs powers;
        for (int k = 0; k < m; ++k, power *= point) powers.push_back(float(power));
        row.push_back(mux(i, powers));
    }
    row.push_back(select(i == m - 1, 1.0f, 0.0f));
    return row;
}

class TransposedWinograd : public ConvGenerator<TransposedWinograd, TransposedWinogradStages> {
public:
    void algorithm(const Problem &p, const Tensors &t, TransposedWinogradStages &s) {
        const PhaseAxis ax(4, 2, 1, p.pad_left), ay(4, 2, 1, p.pad_top);
        auto in = [&](const Expr &x, const Expr &y) { return t.input("x", s.ci, x, y, s.n); };
        s.padded(s.ci, s.ix, s.iy, s.n) = inside_or_zero(s.ix, s.iy, t.extent("x", 'w'), t.extent("x", 'h'), in);
        auto first = [&](const PhaseAxis &axis, const Expr &place) {  // the input that it starts from
            const int shifts = s.shifts(axis.pad);
            return axis.pad / 2 - 1 + place / shifts * s.m + place % shifts;
        };
        auto place = [&](const PhaseAxis &axis, const Expr &tile, const Expr &phase, const Expr &product) {
            const Expr from = tile * s.shifts(axis.pad) + axis.shift(phase) - axis.pad / 2;
            return s.m == 2 ? from + product / 2 : from;  // the third product's is the next place's first
        };
        s.rows(s.ci, s.ix, s.v, s.ky, s.n) = mux(s.ky, forward(s.m, [&](int k) {
            return s.padded(s.ci, s.ix, first(ay, s.v) + k, s.n);
        }));
        s.spectrum(s.ci, s.u, s.v, s.kx, s.ky, s.n) = mux(s.kx, forward(s.m, [&](int k) {
            return s.rows(s.ci, first(ax, s.u) + k, s.v, s.ky, s.n);
        }));

        s.r = RDom(0, p.ci / s.parts, "r");
        const Expr c = s.part * (p.ci / s.parts) + s.r;
        auto row = [&](const Expr &u) {
            const Expr v = ax.first(s.px);
            return filter(s.m, s.i, t.parameter("weight", {s.co, c, u, v + 2}), t.parameter("weight", {s.co, c, u, v}));
        };
        const Expr window = filter(s.m, s.j, row(ay.first(s.py) + 2), row(ay.first(s.py)));
        const Expr u = place(ax, s.tx, s.px, s.i), v = place(ay, s.ty, s.py, s.j);
        s.acc(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j, s.part) = 0.0f;
        s.acc(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j, s.part) +=
            window * s.spectrum(c, u, v, s.i % s.points(), s.j % s.points(), s.n);
        s.rproduct = RDom(0, s.parts, 0, s.taps(), "rproduct");
        const Expr k = s.rproduct.y, product = s.acc(s.co, s.tx, s.ty, s.n, s.px, s.py, k, s.j, s.rproduct.x);
        const bool whole = s.parts == 1;  // then the first product has nothing to be added to
        s.half(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j) = whole ? undef<float>() : 0.0f;
        const Expr sums = s.half(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j);
        s.half(s.co, s.tx, s.ty, s.n, s.px, s.py, s.i, s.j) = (whole ? select(k == min(s.i, 1), 0.0f, sums) : sums) +
            mux(k, inverse(s.m, s.i)) * product;
        const Exprs row_of_y = inverse(s.m, s.y / 2 % s.m);
        Expr sum = 0.0f;
        for (int j = 0; j < s.taps(); ++j)
            sum += row_of_y[size_t(j)] * s.half(s.co, s.x / s.wide(), s.y / s.wide(), s.n, s.x % 2, s.y % 2, s.x / 2 % s.m, j);
        s.map(s.co, s.x, s.y, s.n) = sum;

        sum = s.map(s.co, s.x, s.y, s.n) + t.parameter("bias", {s.co});
        if (p.residual()) sum += t.input("residual", s.co, s.x, s.y, s.n);
        s.out(s.co, s.x, s.y, s.n) = activation(p, t, sum, s.co);
    }
};

}  // namespace hconv

HCONV_FORMULATION(hconv::TransposedWinograd, hconv::TransposedWinogradStages, transposed_winograd)
