// tune.h - hconv tune: candidates proposed by space.h, tried by measure.h, kept in a trial log; the best is a record.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/measure.h"
#include "tools/space.h"
#include "tools/verbs.h"

#include <functional>

namespace hconv {

struct TuneOptions {
    KernelOptions kernels;
    double seconds = 60;          // a problem
    size_t candidates = 60;       // a problem, at most
    uint64_t seed = 1;
    std::string method = "climb";  // or random, all
    std::vector<int> threads;     // to run with; empty: one, and all cores
    std::string log;              // empty: default_log()
    std::string keep;             // file of winners; "" with keep_winners: schedules/tuned/<machine>.jsonl
    bool keep_winners = false, dry_run = false;
    std::string report, json;     // files; empty: none
    std::string machine;          // its name; empty: this one's
    std::vector<std::string> compare;  // only these schedules, against the first
    double fake_clock = 0;        // for tests: seconds that pass at every look at the clock
};

// What one core of this machine can, 1e9 a second; 0: not known.
struct CoreLimits {
    double gflops = 0, l2_gbytes = 0, memory_gbytes = 0;
    // The least time that the flops or the bytes need, over ns; 0: not known.
    double share(double flops, double bytes, double ns) const;
};

// One candidate's story.
struct Candidate {
    std::string schedule, origin;
    Record record;
    double seconds = 0;    // of the tuning, when it was known
    bool from_log = false;
};

struct Paired {
    std::string schedule;
    double ratio = 1;              // the incumbent's time over this one's: the rounds' median
    double low = 1, high = 1;      // quartiles
    double worst_way = 1;          // the smallest median of one way of running
    std::vector<double> medians;   // ns, of each way
};

// How a problem was tuned: for the view, the report and the keeping.
struct Tuning {
    ListedProblem problem;
    Target target;
    std::vector<int> threads;
    std::vector<KnobSpace> spaces;
    std::vector<Candidate> candidates;
    std::string standard;          // the default schedule
    std::string incumbent;         // what an earlier record says; else the default
    std::string winner, decision;  // decision: a sentence
    Record record;                 // of the winner
    std::vector<Paired> finals;
    CoreLimits limits;
    double flops = 0, bytes = 0, seconds = 0;
    size_t points = 0, compiled = 0;
    const Candidate *best() const;
    std::map<std::string, size_t> statuses() const;
};

std::filesystem::path default_log();

int tune_command(const TuneOptions &options);

// An HTML page that needs no network.
std::string report_page(const std::vector<Tuning> &tunings, const std::function<std::string(const Tuning &, const std::string &schedule)> &loops);

}  // namespace hconv
