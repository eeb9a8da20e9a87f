// tuned.h - the lookup of a kernel's schedule among records: those built into the command (schedules/tuned/), then those of
// $HCONV_RECORDS and of --records. The word "none" drops what stands before it.
// SPDX-License-Identifier: MIT
// The order: (1) a schedule that was given; (2) the record of this problem on this machine, for the target "host"; (3) of this
// problem for this target; (4) of the nearest problem that beat its default, if near and it fits; (5) the target's default; (6) generic.
// Rules 2 to 4 are here, the others in schedules/schedule.h. A record only counts where its schedule still fits, and, in (2) and
// (3), only while its hash is that of the kernel it makes: tools/emit.cpp compares them.
#pragma once

#include "generators/problem.h"
#include "tools/records.h"
#include "tools/targets.h"

#include <set>

namespace hconv {

struct Selection {
    std::string schedule;  // empty: rules 5 and 6
    std::string rule;      // why, for people
    std::string hash;      // that the kernel must have; empty: of another problem
    std::string line;      // which record, for people
};

class TunedRecords {
public:
    // Sentences about what is damaged go to warn.
    TunedRecords(const std::vector<std::string> &files, const std::function<void(const std::string &)> &warn);
    // machine: whose records come first; empty: none's.
    Selection select(const Problem &p, const Target &target, const std::string &machine) const;
    void drop(const Selection &stale);  // not to be selected again
    const std::vector<Record> &all() const { return records; }

private:
    std::vector<Record> records;
    std::set<std::string> dropped;
};

// How far problems are from each other, in factors of two over all sizes; negative: of different kinds. What follows the sum
// (bias, norm, residual, activation) does not count.
double problem_distance(const Problem &a, const Problem &b);

// Where a record of the nearest problem is still believed.
constexpr double kNear = 1.0;

}  // namespace hconv
