// space.cpp - see space.h.
// SPDX-License-Identifier: MIT
#include "tools/space.h"

#include "schedules/schedule.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace hconv {

namespace {

constexpr double kMostPoints = 1 << 20;  // tried for feasibility; beyond them only the default is a point
constexpr size_t kSmall = 64;            // points of a space that is tried whole

// Every assignment of the knobs, the last one fastest; those that fit become points.
void fill_points(KnobSpace &space, ScheduleBase &schedule, const Problem &p, const Machine &machine) {
    std::vector<size_t> digit(space.knobs.size(), 0);
    while (true) {
        std::vector<int> point;
        for (size_t k = 0; k < digit.size(); ++k) point.push_back(space.values[k][digit[k]]);
        for (size_t k = 0; k < digit.size(); ++k) *schedule.knobs[k] = point[k];
        if (schedule.feasible(p, machine) && schedule.promising(p, machine)) space.points.insert(point);
        size_t k = digit.size();
        while (k > 0 && ++digit[k - 1] == space.values[k - 1].size()) digit[--k] = 0;
        if (k == 0) return;
    }
}

KnobSpace space_of(ScheduleBase &schedule, const Problem &p, const Machine &machine) {
    KnobSpace space;
    std::vector<int> start;
    schedule.defaults(p, machine);
    space.name = schedule.name, space.start = schedule.text();
    for (const Knob *k : schedule.knobs) {
        std::set<int> values(k->values.begin(), k->values.end());
        values.insert(k->value);
        space.knobs.push_back(k->name);
        space.values.emplace_back(values.begin(), values.end());
        space.raw *= double(values.size());
        start.push_back(k->value);
    }
    if (space.raw <= kMostPoints) fill_points(space, schedule, p, machine);
    space.points.insert(start);
    return space;
}

}  // namespace

std::string KnobSpace::text(const std::vector<int> &point) const {
    std::string result = name;
    for (size_t k = 0; k < knobs.size(); ++k) result += (k ? "," : ":") + knobs[k] + "=" + std::to_string(point[k]);
    return result;
}

std::vector<KnobSpace> spaces_of(const Problem &p, const Target &target) {
    const Halide::Target halide(target.halide);
    std::vector<KnobSpace> spaces;
    for (const ScheduleListing &listing : all_schedules()) {
        if (listing.stages != p.family() || listing.folder != schedule_folder(halide)) continue;
        const auto schedule = listing.make();
        if (fits(p, halide, schedule->name)) spaces.push_back(space_of(*schedule, p, Machine::of(halide)));
    }
    // The order of registration is the linker's.
    std::sort(spaces.begin(), spaces.end(), [](const KnobSpace &a, const KnobSpace &b) { return a.name < b.name; });
    return spaces;
}

Search::Search(std::vector<KnobSpace> all, uint64_t seed, const std::string &how, const std::vector<Proposal> &begin)
    : spaces(std::move(all)), method(how), standard(begin.empty() ? "" : begin.front().schedule), first(begin), random(seed) {
    for (size_t s = 0; s < spaces.size(); ++s) {
        first.push_back({spaces[s].start, "the default of " + spaces[s].name});
        for (const std::vector<int> &point : spaces[s].points) places[spaces[s].text(point)] = {s, point};
    }
}

size_t Search::size() const { return places.size(); }

bool Search::take(const std::string &schedule, const std::string &origin, std::vector<Proposal> *into) {
    if (!proposed.insert(schedule).second) return false;
    into->push_back({schedule, origin});
    return true;
}

std::vector<Proposal> Search::propose(size_t count) {
    std::vector<Proposal> batch;
    while (!first.empty() && batch.size() < count) {
        take(first.front().schedule, first.front().origin, &batch);
        first.erase(first.begin());
    }
    if (method == "all" || (method == "climb" && places.size() <= kSmall)) {
        for (const auto &place : places)
            if (batch.size() < count) take(place.first, "one of all", &batch);
        return batch;
    }
    if (method == "climb") {
        const size_t climbing = count - count / 4;
        for (size_t rank = 0; rank < 3 && batch.size() < climbing; ++rank) climb(rank, climbing, &batch);
    }
    draw(count, &batch);
    return batch;
}

void Search::tell(const std::string &schedule, double cost) { costs[schedule] = cost; }

std::vector<std::pair<double, std::string>> Search::ranking() const {
    std::vector<std::pair<double, std::string>> ranked;
    for (const auto &c : costs)
        if (std::isfinite(c.second) && places.count(c.first)) ranked.push_back({c.second, c.first});
    std::sort(ranked.begin(), ranked.end());
    return ranked;
}

void Search::climb(size_t rank, size_t count, std::vector<Proposal> *into) {
    const auto ranked = ranking();
    const std::string start = ranked.empty() && rank == 0 ? standard : rank < ranked.size() ? ranked[rank].second : "";
    if (!places.count(start)) return;
    const Place &from = places.at(start);
    for (size_t changed = 1; changed <= 2 && into->size() < count; ++changed) neighbours(from, changed, count, into);
}

// Points that differ in so many knobs, those of the fewest steps first.
void Search::neighbours(const Place &from, size_t changed, size_t count, std::vector<Proposal> *into) {
    const KnobSpace &space = spaces[from.space];
    std::vector<std::pair<long, const std::vector<int> *>> near;
    for (const std::vector<int> &point : space.points) {
        long steps = 0, differ = 0;
        for (size_t k = 0; k < point.size(); ++k) {
            const auto &v = space.values[k];
            steps += std::labs((std::find(v.begin(), v.end(), point[k]) - v.begin()) - (std::find(v.begin(), v.end(), from.point[k]) - v.begin()));
            differ += point[k] != from.point[k];
        }
        if (size_t(differ) == changed) near.push_back({steps, &point});
    }
    std::stable_sort(near.begin(), near.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    for (const auto &n : near) {
        if (into->size() >= count) return;
        take(space.text(*n.second), (changed == 1 ? "one knob from " : "two knobs from ") + space.text(from.point), into);
    }
}

// A schedule, then one of its points. Schedules whose best is more than twice the best of all are left.
void Search::draw(size_t count, std::vector<Proposal> *into) {
    const auto ranked = ranking();
    std::map<size_t, double> best;
    for (const auto &r : ranked) best.insert({places.at(r.second).space, r.first});
    std::map<size_t, std::vector<std::string>> left;
    for (const auto &place : places) {
        const auto known = best.find(place.second.space);
        if (!proposed.count(place.first) && (known == best.end() || known->second <= 2 * ranked.front().first))
            left[place.second.space].push_back(place.first);
    }
    while (into->size() < count && !left.empty()) {
        auto chosen = std::next(left.begin(), long(random() % left.size()));
        auto &texts = chosen->second;
        const size_t at = size_t(random() % texts.size());
        take(texts[at], "drawn at random", into);
        texts.erase(texts.begin() + long(at));
        if (texts.empty()) left.erase(chosen);
    }
}

}  // namespace hconv
