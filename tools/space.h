// space.h - the schedules that fit a problem, and the order in which a tuner tries them.
// SPDX-License-Identifier: MIT
// The defaults of all schedules and the winners of near problems first, then climbing: from the best so far (at first: from the
// default), every other value of one knob, the nearest first, then two knobs at once; a quarter of each batch is drawn at random. All of a small
// space. Same seed, same answers: same proposals.
#pragma once

#include "generators/problem.h"
#include "tools/targets.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace hconv {

struct Proposal {
    std::string schedule, origin;  // origin: why this one, for people
};

// One schedule's knobs and the points of them that fit the problem.
struct KnobSpace {
    std::string name, start;  // start: the text with the default values
    std::vector<std::string> knobs;
    std::vector<std::vector<int>> values;  // of each knob, ascending; the default's among them
    std::set<std::vector<int>> points;
    double raw = 1;  // points before those that do not fit were dropped
    std::string text(const std::vector<int> &point) const;
};

std::vector<KnobSpace> spaces_of(const Problem &p, const Target &target);

class Search {
public:
    // method: climb, random or all. first: schedules to try before others, with their origins; the default is the first of them.
    Search(std::vector<KnobSpace> spaces, uint64_t seed, const std::string &method, const std::vector<Proposal> &first);
    // At most count that were never proposed; none: nothing is left.
    std::vector<Proposal> propose(size_t count);
    // cost: smaller is better; infinite: it failed.
    void tell(const std::string &schedule, double cost);
    size_t size() const;
    const std::vector<KnobSpace> &knob_spaces() const { return spaces; }

private:
    struct Place {
        size_t space;
        std::vector<int> point;
    };
    bool take(const std::string &schedule, const std::string &origin, std::vector<Proposal> *into);
    void climb(size_t rank, size_t count, std::vector<Proposal> *into);
    void neighbours(const Place &from, size_t changed, size_t count, std::vector<Proposal> *into);
    void draw(size_t count, std::vector<Proposal> *into);
    std::vector<std::pair<double, std::string>> ranking() const;

    const std::vector<KnobSpace> spaces;
    const std::string method, standard;
    std::vector<Proposal> first;
    std::mt19937_64 random;
    std::map<std::string, Place> places;
    std::map<std::string, double> costs;
    std::set<std::string> proposed;
};

}  // namespace hconv
