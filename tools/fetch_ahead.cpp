// fetch_ahead.cpp - see fetch_ahead.h. In lowered code a tile is "produce sums; consume sums": the consumer's stores say which lines.
// SPDX-License-Identifier: MIT
#include "tools/fetch_ahead.h"

#include <map>
#include <vector>

namespace hconv {

using namespace Halide;
using namespace Halide::Internal;

namespace {

constexpr int line_bytes = 64;

// Where vectors are stored to the output and read from other tensors of its shape, with lets resolved: one address a line.
class Lines : public IRVisitor {
public:
    explicit Lines(std::string output) : output(std::move(output)) {}
    std::vector<std::pair<std::string, Expr>> found;  // tensor, first element

private:
    using IRVisitor::visit;
    const std::string output;
    std::map<std::string, Expr> lets;

    void add(const std::string &tensor, const Expr &index, const Type &type) {
        const Ramp *ramp = index.as<Ramp>();
        if (!ramp || !is_const_one(ramp->stride)) return;
        const Expr first = simplify(substitute(lets, ramp->base));
        for (const auto &[other, at] : found) {
            const auto apart = as_const_int(simplify(first - at));
            if (other == tensor && apart && *apart >= 0 && *apart * type.bytes() < line_bytes) return;
        }
        found.emplace_back(tensor, first);
    }
    void visit(const For *) override {}  // where it stores is not known before it
    void visit(const LetStmt *op) override {
        lets[op->name] = substitute(lets, op->value);
        op->body.accept(this);
    }
    void visit(const Store *op) override {
        if (op->name != output || !is_const_one(op->predicate)) return;
        add(output, op->index, op->value.type().element_of());
        struct Loads : IRVisitor {
            using IRVisitor::visit;
            std::vector<const Load *> all;
            void visit(const Load *l) override { all.push_back(l); }
        } loads;
        op->value.accept(&loads);
        for (const Load *l : loads.all)
            if (equal(l->index, op->index)) add(l->name, l->index, l->type.element_of());
    }
};

Stmt fetch(const std::string &tensor, const Expr &element) {
    const Expr address = reinterpret(UInt(64), Variable::make(Handle(), tensor)) + cast<uint64_t>(cast<int64_t>(element) * 4);
    return Evaluate::make(Call::make(Int(32), "llvm.prefetch.p0", {reinterpret(Handle(), address), 0, 3, 1}, Call::Extern));
}

}  // namespace

FetchAheadPass::FetchAheadPass(std::string name) : output(std::move(name)) {}

Stmt FetchAheadPass::visit(const Block *op) {
    const ProducerConsumer *sums = op->first.as<ProducerConsumer>(), *use = op->rest.as<ProducerConsumer>();
    if (!sums || !use || !sums->is_producer || use->is_producer || sums->name != use->name) return IRMutator::visit(op);
    Lines lines(output);
    use->accept(&lines);
    Stmt tile = op;
    for (auto line = lines.found.rbegin(); line != lines.found.rend(); ++line) tile = Block::make(fetch(line->first, line->second), tile);
    return tile;
}

}  // namespace hconv
