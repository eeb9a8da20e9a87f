// octave_maps.h - the maps of octave convolution as convolutions, for what depends on their sizes.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/octave.h"
#include "runtime/variants/octave.h"
#include "schedules/x86/idioms.h"

#include <algorithm>
#include <initializer_list>
#include <string>

namespace hconv {

// A sum as the convolution of stride 1 that makes its map: of the path with the most inputs.
inline Problem as_conv(const Problem &p, std::initializer_list<int> paths, int co, int oh, int ow) {
    const hconv_octave o = hconv_octave_of(&p);
    Problem conv = p;
    conv.stride_h = conv.stride_w = 1, conv.ci = 1, conv.co = co, conv.groups = 1;
    for (int i : paths)
        if (o.path[i].exists) conv.ci = std::max(conv.ci, o.path[i].ci);
    if (oh != HCONV_OPEN) conv.h = oh + p.dilation_h * (p.kh - 1) - p.pad_top - p.pad_bottom;
    if (ow != HCONV_OPEN) conv.w = ow + p.dilation_w * (p.kw - 1) - p.pad_left - p.pad_right;
    // The slopes of both maps are one tensor: the low map's last block must not read on behind it.
    if (p.activation == HCONV_PRELU || p.activation == HCONV_LEAKY) conv.flags |= HCONV_RESIDUAL;
    return conv;
}
inline Problem high_conv(const Problem &p) {
    const hconv_octave o = hconv_octave_of(&p);
    return as_conv(p, {HCONV_HH, HCONV_LH}, o.co_h, o.oh, o.ow);
}
inline Problem low_conv(const Problem &p) {
    const hconv_octave o = hconv_octave_of(&p);
    return as_conv(p, {HCONV_HL, HCONV_LL}, o.co_l, o.ohl, o.owl);
}

// Parameters packed by the blocks, of so many channels, of the map whose sums they belong to.
inline std::string octave_layout(const hconv_tensor &t, int high, int low) {
    const std::string name = t.name;
    if (name == "slope") return "";  // of both
    return x86::blocked_layout(t, name == "bias_l" || name == "h2l.weight" || name == "l2l.weight" ? low : high);
}

}  // namespace hconv
