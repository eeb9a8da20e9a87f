// separable.cpp - W = sum_i s_i u_i v_i^T by one-sided Jacobi rotations (Hestenes 1958): W V has orthogonal columns s_i u_i.
// SPDX-License-Identifier: MIT
#include "tools/separable.h"

#include <algorithm>
#include <cmath>

namespace hconv {

namespace {

using Vector = std::vector<double>;
using Matrix = std::vector<Vector>;  // a list of columns

double dot(const Vector &a, const Vector &b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

void rotate(Vector &a, Vector &b, double cosine, double sine) {
    for (size_t i = 0; i < a.size(); ++i) {
        double old = a[i];
        a[i] = cosine * old - sine * b[i];
        b[i] = sine * old + cosine * b[i];
    }
}

// Turns W's columns until all are orthogonal, and V's with them.
void make_orthogonal(Matrix &w, Matrix &v) {
    bool turned = true;
    for (int sweep = 0; turned && sweep < 60; ++sweep) {
        turned = false;
        for (size_t p = 0; p < w.size(); ++p)
            for (size_t q = p + 1; q < w.size(); ++q) {
                double across = dot(w[p], w[q]), pp = dot(w[p], w[p]), qq = dot(w[q], w[q]);
                if (std::fabs(across) <= 1e-15 * std::sqrt(pp * qq)) continue;
                double zeta = (qq - pp) / (2 * across);
                double tangent = (zeta < 0 ? -1 : 1) / (std::fabs(zeta) + std::hypot(1.0, zeta));
                double cosine = 1 / std::hypot(1.0, tangent);
                rotate(w[p], w[q], cosine, cosine * tangent);
                rotate(v[p], v[q], cosine, cosine * tangent);
                turned = true;
            }
    }
}

struct Term {
    double size;         // s
    Vector column, row;  // sqrt(s) u, sqrt(s) v
};

// The terms above what the roundings of a float32 window, a few of 2^-24 of each element, can make.
std::vector<Term> terms_of(const float *window, size_t kh, size_t kw) {
    Matrix w(kw, Vector(kh)), v(kw, Vector(kw));
    double norm = 0;
    for (size_t i = 0; i < kh; ++i)
        for (size_t j = 0; j < kw; ++j) {
            w[j][i] = window[i * kw + j];
            norm = std::hypot(norm, w[j][i]);
        }
    for (size_t j = 0; j < v.size(); ++j) v[j][j] = 1;
    make_orthogonal(w, v);
    std::vector<Term> terms;
    for (size_t j = 0; j < w.size(); ++j) {
        double size = std::sqrt(dot(w[j], w[j])), root = std::sqrt(size);
        if (size <= 4 * 0x1p-24 * norm) continue;
        for (double &u : w[j]) u /= root;
        for (double &u : v[j]) u *= root;
        terms.push_back({size, w[j], v[j]});
    }
    std::sort(terms.begin(), terms.end(), [](const Term &a, const Term &b) { return a.size > b.size; });
    return terms;
}

}  // namespace

Separated separate(const float *windows, int channels, int kh, int kw) {
    std::vector<std::vector<Term>> all;
    size_t pairs = 1;
    for (int c = 0; c < channels; ++c) {
        all.push_back(terms_of(windows + size_t(c) * kh * kw, size_t(kh), size_t(kw)));
        pairs = std::max(pairs, all.back().size());
    }
    Separated s;
    s.pairs = int(pairs);
    for (const std::vector<Term> &terms : all)
        for (size_t e = 0; e < pairs; ++e) {
            for (int i = 0; i < kh; ++i) s.column.push_back(e < terms.size() ? float(terms[e].column[size_t(i)]) : 0.0f);
            for (int j = 0; j < kw; ++j) s.row.push_back(e < terms.size() ? float(terms[e].row[size_t(j)]) : 0.0f);
        }
    return s;
}

}  // namespace hconv
