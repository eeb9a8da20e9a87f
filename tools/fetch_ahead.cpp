// fetch_ahead.cpp - see fetch_ahead.h. In lowered code a tile is "produce sums; consume sums": the consumer's stores say which lines.
// SPDX-License-Identifier: MIT
#include "tools/fetch_ahead.h"

#include <algorithm>
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

// The loops that a loop's body does one behind the other, without others inside, and the first weight that the first of them loads, with
// the lets of the body resolved and its step 0.
class Tiles : public IRVisitor {
public:
    explicit Tiles(std::string weights) : weights(std::move(weights)) {}
    std::vector<const For *> loops;
    Expr load;
    bool found() const { return loops.size() > 1 && load.defined() && !nested; }

private:
    using IRVisitor::visit;
    const std::string weights;
    std::map<std::string, Expr> lets;
    bool inside = false, nested = false;

    void visit(const For *op) override {
        if (inside) {
            nested = true;
            return;
        }
        loops.push_back(op);
        inside = true;
        lets[op->name] = op->min;
        op->body.accept(this);
        inside = false;
    }
    void visit(const LetStmt *op) override {
        lets[op->name] = substitute(lets, op->value);
        op->body.accept(this);
    }
    void visit(const Load *op) override {
        const Ramp *ramp = op->index.as<Ramp>();
        if (op->name == weights && ramp && !load.defined()) load = simplify(substitute(lets, ramp->base));
    }
};

// Each step of each loop fetches its share of so many elements from `first` on: whole lines, a few of which may be left at the end.
class Shares : public IRMutator {
public:
    Shares(std::string weights, Expr first, int elements, const Tiles &tiles) : weights(std::move(weights)), first(std::move(first)) {
        int64_t steps = 0;
        for (const For *loop : tiles.loops) steps += as_const_int(loop->extent).value_or(0);
        lines = int(std::max<int64_t>(elements / line_elements / std::max<int64_t>(steps, 1), 1));
    }

private:
    using IRMutator::visit;
    static constexpr int line_elements = line_bytes / 4;
    const std::string weights;
    const Expr first;
    int lines;
    int before = 0;  // steps of the loops before

    Stmt visit(const For *op) override {
        Stmt step = op->body;
        for (int line = 0; line < lines; ++line) {
            const Expr number = (before + Variable::make(Int(32), op->name) - op->min) * lines + line;
            step = Block::make(fetch(weights, first + number * line_elements), step);
        }
        before += int(as_const_int(op->extent).value_or(0));
        return For::make(op->name, op->min, op->extent, op->for_type, op->partition_policy, op->device_api, step);
    }
};

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

FetchWeightsPass::FetchWeightsPass(std::string name, int chunk) : weights(std::move(name)), chunk(chunk) {}

Stmt FetchWeightsPass::visit(const For *op) {
    Tiles tiles(weights);
    op->body.accept(&tiles);
    if (!tiles.found()) return IRMutator::visit(op);
    const std::string next = op->name + ".next";
    Stmt body = Shares(weights, Variable::make(Int(32), next), chunk, tiles).mutate(op->body);
    body = LetStmt::make(next, (tiles.load / chunk + 1) * chunk, body);
    return For::make(op->name, op->min, op->extent, op->for_type, op->partition_policy, op->device_api, body);
}

}  // namespace hconv
