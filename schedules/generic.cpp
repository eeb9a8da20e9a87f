// generic.cpp - see generic.h.
// SPDX-License-Identifier: MIT
#include "schedules/generic.h"

#include "schedules/unscheduled.h"

namespace hconv {

using namespace Halide;

namespace {

std::vector<VarOrRVar> loop_order(const std::vector<Var> &args, size_t inner, const std::vector<RVar> &reduction) {
    std::vector<VarOrRVar> order{args[inner]};
    order.insert(order.end(), reduction.begin(), reduction.end());
    for (size_t i = 0; i < args.size(); ++i)
        if (i != inner) order.push_back(args[i]);
    return order;
}

template<typename S>
void on_cpu(S stage, const std::vector<Var> &args, size_t inner, const std::vector<RVar> &reduction, const Target &target) {
    stage.reorder(loop_order(args, inner, reduction));
    stage.vectorize(args[inner], target.natural_vector_size<float>(), TailStrategy::GuardWithIf);
    if (args.size() > 2) stage.parallel(args[2]);
}

template<typename S>
void on_gpu(S stage, const std::vector<Var> &args, size_t inner, const std::vector<RVar> &reduction) {
    Var bx, by, tx, ty, outer;
    std::vector<VarOrRVar> order(reduction.begin(), reduction.end());
    Var first = args[inner];
    order.push_back(first);
    for (size_t i = 0; i < args.size(); ++i)
        if (i != inner) order.push_back(args[i]);
    stage.reorder(order);
    if (args.size() == 1) {
        stage.gpu_tile(first, bx, tx, 32, TailStrategy::GuardWithIf);
        return;
    }
    Var second = args[inner == 0 ? 1 : 0];
    for (size_t i = 3; i < args.size(); ++i) stage.fuse(i == 3 ? args[2] : outer, args[i], outer);
    stage.gpu_tile(first, second, bx, by, tx, ty, 16, 8, TailStrategy::GuardWithIf);
    if (args.size() > 2) stage.gpu_blocks(args.size() == 3 ? args[2] : outer);
}

}  // namespace

bool leave_unscheduled = false;

void schedule_generic(Func f, size_t inner, bool output, const Target &target) {
    if (leave_unscheduled) return;
    const std::vector<Var> args = f.args();
    const bool gpu = target.has_gpu_feature();
    if (!output) {
        f.compute_root();
        if (inner && f.dimensions() > 1) {
            std::vector<Var> storage{args[inner]};
            for (size_t i = 0; i < args.size(); ++i)
                if (i != inner) storage.push_back(args[i]);
            f.reorder_storage(storage);
        }
    }
    if (args.empty()) return;
    if (gpu) on_gpu(Stage(f), args, inner, {});
    else on_cpu(Stage(f), args, inner, {}, target);
    for (int u = 0; u < f.num_update_definitions(); ++u) {
        const auto *lanes = f.update_args(u)[inner].as<Internal::Variable>();
        if (!lanes || lanes->name != args[inner].name()) {  // columns written through a reduction's variable: as they come
            std::vector<Var> left = args;
            left.erase(left.begin() + int(inner));
            if (gpu) on_gpu(f.update(u), left, 0, f.rvars(u));
            continue;
        }
        if (gpu) on_gpu(f.update(u), args, inner, f.rvars(u));
        else on_cpu(f.update(u), args, inner, f.rvars(u), target);
    }
}

}  // namespace hconv
