// tensors.cpp - see tensors.h. A parameter's physical index from its logical one, letter by letter: "Ohwi16o" is
// (o % 16, i, w, h, o / 16), innermost first.
// SPDX-License-Identifier: MIT
#include "generators/tensors.h"

#include "runtime/pack.h"

#include <cstring>
#include <stdexcept>

namespace hconv {

using Halide::Expr;

namespace {

struct PhysicalDimension {
    int letter;
    int64_t block, extent, inside;  // inside: block size behind an upper-case letter
};

// Innermost first.
std::vector<PhysicalDimension> physical(const TensorArgument &a) {
    hconv_physical_dimension dims[HCONV_MAX_DIMS];
    int count = hconv_layout_dimensions(a.layout.c_str(), &a.tensor, dims);
    if (!count) throw std::invalid_argument("layout " + a.layout + " does not fit tensor " + a.name());
    std::vector<PhysicalDimension> result;
    for (int i = count - 1; i >= 0; --i) {
        PhysicalDimension d{dims[i].letter, dims[i].block, dims[i].extent, 1};
        for (int k = 0; k < count; ++k)
            if (dims[i].block == -1 && dims[k].letter == d.letter && dims[k].block > 0) d.inside = dims[k].block;
        result.push_back(d);
    }
    return result;
}

// Halide's position of an activation's letter: c, x, y, n.
int position(const TensorArgument &a, char letter) {
    int at = 0;
    for (const char *c = "cwhn"; *c != letter; ++c) at += a.layout.find(*c) != std::string::npos;
    return at;
}

}  // namespace

const Tensors::Entry &Tensors::at(const std::string &name) const {
    auto found = entries.find(name);
    if (found == entries.end()) throw std::invalid_argument("the kernel has no tensor " + name);
    return found->second;
}

Expr Tensors::input(const std::string &name, const Expr &c, const Expr &x, const Expr &y, const Expr &n) const {
    return at(name).read({c, x, y, n});
}

Expr Tensors::parameter(const std::string &name, const std::vector<Expr> &index) const {
    const Entry &e = at(name);
    std::vector<Expr> where;
    for (const PhysicalDimension &d : physical(e.argument)) {
        Expr i = index.at(size_t(d.letter));
        where.push_back(d.block == 0 ? i : d.block > 0 ? i % int(d.block) : i / int(d.inside));
    }
    return e.read(where);
}

int Tensors::parameter_extent(const std::string &name, char letter) const {
    const TensorArgument &a = at(name).argument;
    int extent = 1;
    for (const PhysicalDimension &d : physical(a))
        if (a.tensor.letters[d.letter] == letter) extent *= int(d.extent);
    return extent;
}

int Tensors::parameter_block(const std::string &name, char letter) const {
    const TensorArgument &a = at(name).argument;
    for (const PhysicalDimension &d : physical(a))
        if (a.tensor.letters[d.letter] == letter && d.block > 0) return int(d.block);
    return 1;
}

Expr Tensors::extent(const std::string &name, char letter) const {
    const Entry &e = at(name);
    const char *found = std::strchr(e.argument.tensor.letters, letter);
    if (!found) return 1;
    int64_t fixed = e.argument.tensor.extent[found - e.argument.tensor.letters];
    return fixed ? Expr(int(fixed)) : e.dim(position(e.argument, letter)).extent();
}

void Tensors::declare_shapes() const {
    for (const auto &entry : entries) {
        const Entry &e = entry.second;
        Expr stride = 1;
        if (e.argument.tensor.role == HCONV_PARAMETER) {
            int i = 0;
            for (const PhysicalDimension &d : physical(e.argument)) {
                e.dim(i).set_bounds(0, int(d.extent));
                e.dim(i++).set_stride(stride);
                stride = Halide::Internal::simplify(stride * int(d.extent));
            }
            continue;
        }
        const std::string letters = hconv_layout_letters(e.argument.layout.c_str());
        for (size_t i = letters.size(); i-- > 0;) {
            char letter = letters[i];
            Expr size = extent(entry.first, letter);
            auto dim = e.dim(position(e.argument, letter));
            dim.set_min(0);
            if (Halide::Internal::as_const_int(size)) dim.set_extent(size);
            dim.set_stride(stride);
            stride = Halide::Internal::simplify(stride * size);
        }
    }
}

}  // namespace hconv
