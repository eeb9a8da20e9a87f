// layers.h - the small network on a map's channel means that attentions and routings come from.
// SPDX-License-Identifier: MIT
#ifndef HCONV_TESTS_REFERENCE_LAYERS_H
#define HCONV_TESTS_REFERENCE_LAYERS_H

#include "maps.h"

namespace hconv::reference {

// Rows of weights over the inputs, and a bias (empty = none); ops: roundings of each weight and each bias.
struct Layer {
    int outputs = 0, inputs = 0;
    double ops = 0;
    std::vector<double> weight, bias; // [outputs][inputs], [outputs]
};

inline std::vector<Num> run_layer(const Layer &layer, const std::vector<Num> &in) {
    std::vector<Num> out;
    for (int o = 0; o < layer.outputs; ++o) {
        Sum sum;
        for (int i = 0; i < layer.inputs; ++i) {
            double w = layer.weight[size_t(o) * layer.inputs + i];
            sum.add(in[i] * Num{w, std::fabs(w), layer.ops});
        }
        if (!layer.bias.empty()) sum.add({layer.bias[o], std::fabs(layer.bias[o]), layer.ops});
        out.push_back(sum.total());
    }
    return out;
}

// Mean of every channel of sample n.
inline std::vector<Num> channel_means(const Map &x, int n) {
    std::vector<Num> means;
    for (int c = 0; c < x.c; ++c) {
        Sum sum;
        for (int i = 0; i < x.h; ++i)
            for (int j = 0; j < x.w; ++j) sum.add(x.num(x.at(n, i, j, c)));
        means.push_back(sum.total() * rounded(1.0 / (double(x.h) * x.w)));
    }
    return means;
}

} // namespace hconv::reference
#endif
