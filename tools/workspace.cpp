// workspace.cpp - see workspace.h. peak(allocate) = size + peak(body), peak(a; b) = max; sizes are bounded over the loops
// around them, with lets resolved, so that only the tensors' extents are left.
// SPDX-License-Identifier: MIT
#include "tools/workspace.h"

#include "runtime/internal.h"

#include <hconv/library.h>

#include <stdexcept>

namespace hconv {

using namespace Halide;
using namespace Halide::Internal;

namespace {

// A kernel's malloc asks for the extents' product and a little padding; the runtime adds a header and alignment.
constexpr int slack_bytes = 64 * 4;
constexpr int stack_bytes = 16 * 1024;  // Halide keeps smaller constant allocations on the stack

bool from_argument(const Expr &value) {
    const Call *call = value.as<Call>();
    return call && starts_with(call->name, "_halide_buffer_get");
}

class Peak : public IRVisitor {
public:
    Expr here = 0, task = 0;  // needed now, and inside parallel loops

private:
    using IRVisitor::visit;
    Scope<Interval> scope;
    bool in_task = false;

    Expr most(const Expr &e) {
        Interval bounds = bounds_of_expr_in_scope(e, scope);
        if (!bounds.has_upper_bound())
            throw std::runtime_error("the size of an allocation cannot be bounded: " + name_of(e));
        return simplify(common_subexpression_elimination(bounds.max));
    }
    static std::string name_of(const Expr &e) {
        std::ostringstream text;
        text << e;
        return text.str();
    }
    // What body needs on top of what is needed now.
    template<typename F>
    void nested(const Expr &size, F body) {
        Expr before = here;
        here = 0;
        body();
        here = simplify(max(before, size + here));
    }

    void visit(const LetStmt *op) override { let(op); }
    void visit(const Let *op) override { let(op); }
    template<typename L>
    void let(const L *op) {
        op->value.accept(this);
        bool free = from_argument(op->value);
        bool integer = op->value.type().is_int() || op->value.type().is_uint();
        if (!free && integer) scope.push(op->name, bounds_of_expr_in_scope(op->value, scope));
        op->body.accept(this);
        if (!free && integer) scope.pop(op->name);
    }
    void visit(const For *op) override {
        Interval lower = bounds_of_expr_in_scope(op->min, scope), extent = bounds_of_expr_in_scope(op->extent, scope);
        Interval range = lower;
        range.max = lower.has_upper_bound() && extent.has_upper_bound() ? lower.max + extent.max - 1 : Interval::pos_inf();
        scope.push(op->name, range);
        bool outermost = op->for_type == ForType::Parallel && !in_task;
        if (outermost) {
            Expr before = here;
            here = 0, in_task = true;
            op->body.accept(this);
            task = simplify(max(task, here));
            here = before, in_task = false;
        } else if (op->device_api == DeviceAPI::None || op->device_api == DeviceAPI::Host) {
            op->body.accept(this);
        }
        scope.pop(op->name);
    }
    void visit(const Block *op) override {
        Expr before = here;
        op->first.accept(this);
        Expr first = here;
        here = before;
        op->rest.accept(this);
        here = simplify(max(first, here));
    }
    void visit(const IfThenElse *op) override {
        Expr before = here;
        op->then_case.accept(this);
        Expr then_case = here;
        here = before;
        if (op->else_case.defined()) op->else_case.accept(this);
        here = simplify(max(then_case, here));
    }
    void visit(const Allocate *op) override {
        int64_t constant = op->constant_allocation_size();
        bool stack = op->memory_type == MemoryType::Stack || op->memory_type == MemoryType::Register ||
                     (op->memory_type == MemoryType::Auto && constant > 0 && constant * op->type.bytes() <= stack_bytes);
        bool elsewhere = op->new_expr.defined();
        Expr size = make_const(Int(32), op->type.bytes() * op->type.lanes());
        for (const Expr &extent : op->extents) size *= extent;
        if (stack || elsewhere) size = 0;
        else size = most(size + slack_bytes);
        nested(size, [&] { op->body.accept(this); });
    }
};

class Postfix {
public:
    Postfix(const std::vector<std::string> &names, std::vector<int64_t> &to) : arguments(names), out(to) {}
    void put(const Expr &e) {
        if (auto c = as_const_int(e)) return emit(HCONV_SIZE_CONST, *c);
        if (auto c = as_const_uint(e)) return emit(HCONV_SIZE_CONST, int64_t(*c));
        if (const Variable *v = e.as<Variable>()) return variable(v->name);
        if (const Cast *c = e.as<Cast>()) return put(c->value);
        if (const Not *n = e.as<Not>()) return put(n->a), emit(HCONV_SIZE_NOT, 0);
        if (const Select *s = e.as<Select>())
            return put(s->condition), put(s->true_value), put(s->false_value), emit(HCONV_SIZE_SELECT, 0);
        if (const Let *l = e.as<Let>()) return put(substitute(l->name, l->value, l->body));
        if (const Call *c = e.as<Call>(); c && (c->is_intrinsic(Call::likely) || c->is_intrinsic(Call::likely_if_innermost)))
            return put(c->args[0]);
        if (binary<Add>(e, HCONV_SIZE_ADD) || binary<Sub>(e, HCONV_SIZE_SUB) || binary<Mul>(e, HCONV_SIZE_MUL) ||
            binary<Div>(e, HCONV_SIZE_DIV) || binary<Mod>(e, HCONV_SIZE_MOD) || binary<Min>(e, HCONV_SIZE_MIN) ||
            binary<Max>(e, HCONV_SIZE_MAX) || binary<EQ>(e, HCONV_SIZE_EQ) || binary<LT>(e, HCONV_SIZE_LT) ||
            binary<LE>(e, HCONV_SIZE_LE) || binary<And>(e, HCONV_SIZE_AND) || binary<Or>(e, HCONV_SIZE_OR))
            return;
        std::ostringstream text;
        text << e;
        throw std::runtime_error("a workspace size uses what the runtime cannot evaluate: " + text.str());
    }

private:
    void emit(int opcode, int64_t operand) { out.push_back(opcode), out.push_back(operand); }
    template<typename T>
    bool binary(const Expr &e, int opcode) {
        const T *op = e.as<T>();
        if (op) put(op->a), put(op->b), emit(opcode, 0);
        return op != nullptr;
    }
    void variable(const std::string &name) {
        for (size_t i = 0; i < arguments.size(); ++i) {
            for (int d = 0; d < HCONV_MAX_DIMS; ++d) {
                if (name == arguments[i] + ".extent." + std::to_string(d)) return emit(HCONV_SIZE_EXTENT, int64_t(i * 8 + size_t(d)));
                if (name == arguments[i] + ".min." + std::to_string(d)) return emit(HCONV_SIZE_CONST, 0);
            }
        }
        throw std::runtime_error("a workspace size depends on " + name + ", which is no extent of a tensor");
    }
    const std::vector<std::string> &arguments;
    std::vector<int64_t> &out;
};

}  // namespace

WorkspacePass::WorkspacePass(std::vector<std::string> names) : arguments(std::move(names)) {}

Stmt WorkspacePass::mutate(const Stmt &s) {
    if (done) return s;
    done = true;
    Peak peak;
    s.accept(&peak);
    Postfix(arguments, root).put(simplify(peak.here));
    Postfix(arguments, slot).put(simplify(peak.task));
    root.push_back(HCONV_SIZE_END), slot.push_back(HCONV_SIZE_END);
    return s;
}

}  // namespace hconv
