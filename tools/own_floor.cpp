// own_floor.cpp - see own_floor.h.
// SPDX-License-Identifier: MIT
#include "tools/own_floor.h"

namespace hconv {

using namespace Halide;
using namespace Halide::Internal;

Expr OwnFloorPass::visit(const Call *op) {
    if (op->name == "exp_f32") return mutate(halide_exp(op->args[0]));
    if (op->name != "floor_f32") return IRMutator::visit(op);
    const std::string name = unique_name("floored"), towards_zero = unique_name("towards_zero");
    const Expr v = Variable::make(op->type, name), t = Variable::make(op->type, towards_zero);
    const Expr whole = cast(op->type, cast(op->type.with_code(Type::Int), v));
    const Expr floored = t - select(t > v, make_one(op->type), make_zero(op->type));
    return Let::make(name, mutate(op->args[0]), Let::make(towards_zero, whole, floored));
}

}  // namespace hconv
