// measure.h - kernels of one problem in one program: checked against the reference, then timed in rounds in which each has its
// turn, so that what the machine does meanwhile meets all of them.
// SPDX-License-Identifier: MIT
#pragma once

#include "tests/reference/judge.h"
#include "tools/records.h"
#include "tools/pack_up.h"
#include "tools/run_program.h"

#include <map>
#include <memory>

namespace hconv {

// The reference's answers for a listed problem, computed once.
class Judges {
public:
    const reference::Judge &of(const Problem &sized, bool exact, uint64_t seed);

private:
    std::map<std::string, std::unique_ptr<reference::Judge>> judges;
};

// The ways of running a problem: its sizes times numbers of threads.
struct Way {
    Problem sized;
    std::string at;  // of an open problem
    int threads;
};
std::vector<Way> ways_of(const ListedProblem &problem, const std::vector<int> &threads);

struct Trial {
    std::string schedule, hash;
    std::string status = "ok", why;
    int same_as = -1;  // an earlier trial of the batch with the same hash, that is, the same code
    bool known = false;  // its code was measured before this batch: not again
    std::vector<std::vector<double>> medians;  // of each way, one a round
    std::vector<double> least, flops, bytes;   // of each way
    bool dropped = false;                      // clearly slower: no more rounds
    bool good() const { return status == "ok"; }
    double cost() const;  // geometric mean over the ways, of the rounds' median; infinite where it failed
    std::vector<Timing> times(const std::vector<Way> &ways, int rounds_each) const;
};

constexpr double kDrop = 1.25;  // times the best: clearly slower
constexpr int kRoundsEach = 3;  // timings in a row of a kernel's turn

class Batch {
public:
    // Compiles; what does not compile has its status. options.alternatives is set to the schedules.
    Batch(const ListedProblem &problem, const std::vector<std::string> &schedules, KernelOptions options, const std::vector<int> &threads);
    // Links, and tries exact and random data; those that fail get their status. Those before the given one were checked before.
    void check(Judges &judges, uint64_t seed, size_t from);
    // More rounds for all that are good and not dropped; drop: those clearly slower than the best leave.
    void measure(int rounds, bool drop);
    // A batch that is packed up for another machine, or what such a one sent back: options.pack_up or results say which. The
    // schedules that compiled, and their hashes, go into the pack's numbers.
    static Batch packed(const ListedProblem &problem, const std::vector<std::string> &schedules, const std::vector<std::string> &hashes,
                        KernelOptions options, const std::vector<int> &threads);
    void do_packed(Judges &judges, uint64_t seed, int rounds, const std::vector<int> &threads);
    std::vector<Trial> trials;
    const std::vector<Way> ways;
    CompileTotals totals;

private:
    // Jobs with whose they are and, of those that time, in which way.
    struct JobList {
        std::vector<Job> jobs;
        std::vector<size_t> owner, way;
        void add(const Job &job, size_t trial, size_t in_way);
    };
    Batch(const ListedProblem &problem, KernelOptions options, const std::vector<int> &threads);
    void add_trial(const std::string &schedule);
    bool choose_rows();  // false: no trial is good
    void link();
    void list_checks(size_t trial, uint64_t seed, JobList *list) const;
    void list_timings(int rounds, JobList *list) const;
    void checked(const Job &job, size_t trial, const JobResult &result, Judges &judges);
    void timed(size_t trial, size_t way, const JobResult &result);
    void copy_same();
    // A program that dies costs the job it was at, not those behind it.
    void run(const std::vector<Job> &jobs, const std::vector<size_t> &owner, const std::function<void(size_t, const JobResult &)> &done);
    void fail(size_t trial, const std::string &status, const std::string &why);

    const ListedProblem problem;
    KernelOptions options;
    std::unique_ptr<Jobber> program;
    std::vector<int> row;  // of each trial in the program's table; -1: none
    int deaths = 0;        // of the run program in a row
};

double median_of(std::vector<double> values);

}  // namespace hconv
