// measure.cpp - see measure.h.
// SPDX-License-Identifier: MIT
#include "tools/measure.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>

namespace hconv {

using reference::Judge;

namespace {

constexpr int64_t kElements = 4096;  // compared of each output, the borders first; emit compares them all
constexpr int kCheckSeconds = 10, kTimeSeconds = 20;

std::string size_text(const ListedProblem &listed, const Problem &sized) {
    if (!listed.problem.open()) return "";
    return "n" + std::to_string(sized.n) + "h" + std::to_string(sized.h) + "w" + std::to_string(sized.w);
}

int all_cores() { return int(std::max(1u, std::thread::hardware_concurrency())); }

}  // namespace

double median_of(std::vector<double> values) {
    if (values.empty()) return std::numeric_limits<double>::infinity();
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

const Judge &Judges::of(const Problem &sized, bool exact, uint64_t seed) {
    auto &judge = judges[sized.text() + (exact ? " exact " : " random ") + std::to_string(seed)];
    if (!judge) judge = std::make_unique<Judge>(sized, exact ? HCONV_FILL_EXACT : HCONV_FILL_RANDOM, seed, kElements);
    return *judge;
}

std::vector<Way> ways_of(const ListedProblem &problem, const std::vector<int> &threads) {
    std::vector<Way> ways;
    for (const Problem &sized : problem.sizes)
        for (int t : threads) ways.push_back({sized, size_text(problem, sized), t});
    return ways;
}

double Trial::cost() const {
    if (!good() || medians.empty()) return std::numeric_limits<double>::infinity();
    double sum = 0;
    for (const auto &m : medians) sum += std::log(median_of(m));
    return std::exp(sum / double(medians.size()));
}

std::vector<Timing> Trial::times(const std::vector<Way> &ways, int rounds_each) const {
    std::vector<Timing> result;
    for (size_t w = 0; w < ways.size() && good(); ++w) {
        const double median = median_of(medians[w]);
        result.push_back({ways[w].at, ways[w].threads, median, least[w], int(medians[w].size()) * rounds_each, flops[w] / median});
    }
    return result;
}

Batch::Batch(const ListedProblem &listed, KernelOptions given, const std::vector<int> &threads)
    : ways(ways_of(listed, threads)), problem(listed), options(std::move(given)) {}

Batch::Batch(const ListedProblem &listed, const std::vector<std::string> &schedules, KernelOptions given, const std::vector<int> &threads)
    : Batch(listed, std::move(given), threads) {
    const Target target = resolve_targets(options.target).back();
    std::vector<KernelRequest> requests;
    for (const std::string &s : schedules) {
        requests.push_back({problem.text(), target, s, false});
        add_trial(s);
    }
    std::vector<Compiled> made = try_compile(requests, options.compile, &totals);
    for (size_t i = 0; i < made.size(); ++i)
        trials[i].status = made[i].status, trials[i].why = made[i].why.substr(0, 300), trials[i].hash = made[i].kernel.hash;
    for (size_t i = 0; i < trials.size(); ++i)
        for (size_t j = 0; j < i && trials[i].good() && trials[i].same_as < 0; ++j)
            if (trials[j].good() && trials[j].hash == trials[i].hash) trials[i].same_as = int(j);
}

Batch Batch::packed(const ListedProblem &listed, const std::vector<std::string> &schedules, const std::vector<std::string> &hashes,
                    KernelOptions given, const std::vector<int> &threads) {
    Batch batch(listed, std::move(given), threads);
    for (size_t i = 0; i < schedules.size(); ++i) {
        batch.add_trial(schedules[i]);
        batch.trials.back().hash = hashes.at(i);
    }
    return batch;
}

void Batch::add_trial(const std::string &schedule) {
    Trial t;
    t.schedule = schedule;
    t.medians.resize(ways.size()), t.least.assign(ways.size(), HUGE_VAL), t.flops.resize(ways.size()), t.bytes.resize(ways.size());
    trials.push_back(t);
}

void Batch::fail(size_t trial, const std::string &status, const std::string &why) {
    if (trials[trial].good()) trials[trial].status = status, trials[trial].why = why.substr(0, 300);
}

// Of several schedules with one hash the first stands for all.
bool Batch::choose_rows() {
    row.assign(trials.size(), -1);
    options.alternatives.clear();
    for (size_t i = 0; i < trials.size(); ++i) {
        if (!trials[i].good() || trials[i].same_as >= 0 || trials[i].known) continue;
        row[i] = int(options.alternatives.size());
        options.alternatives.push_back(trials[i].schedule);
    }
    return !options.alternatives.empty();
}

void Batch::link() {
    if (!choose_rows()) return;
    KernelOptions linked = options;
    linked.compile.progress = nullptr;
    linked.run_seconds = options.run_seconds > 0 ? options.run_seconds : 600;
    program = std::make_unique<RunProgram>(std::vector<ListedProblem>{problem}, linked);
    if (program->rows().size() != options.alternatives.size()) throw std::runtime_error("the run program lists other kernels than were linked");
}

void Batch::JobList::add(const Job &job, size_t trial, size_t in_way) {
    jobs.push_back(job), owner.push_back(trial), way.push_back(in_way);
}

void Batch::list_checks(size_t trial, uint64_t seed, JobList *list) const {
    for (size_t w = 0; w < ways.size(); ++w) {
        if (w && ways[w].at == ways[w - 1].at) continue;  // another number of threads: "repeat" tries them
        for (bool exact : {true, false}) {
            Job j;
            j.kernel = row[trial], j.problem = ways[w].sized, j.seed = seed, j.threads = all_cores();
            j.data = exact ? "exact" : "random", j.limit_seconds = kCheckSeconds;
            // What autoschedulers make may write an element twice, the same value: no record may, but for a comparison it will do.
            j.checks = exact || trials[trial].schedule.compare(0, 5, "auto:") == 0 ? "" : "repeat";
            j.output = "check" + std::to_string(list->jobs.size()) + ".f32";
            list->add(j, trial, w);
        }
    }
}

void Batch::list_timings(int rounds, JobList *list) const {
    for (int round = 0; round < rounds; ++round)
        for (size_t w = 0; w < ways.size(); ++w)
            for (size_t i = 0; i < trials.size(); ++i) {
                if (row[i] < 0 || !trials[i].good() || trials[i].dropped) continue;
                Job j;
                j.kernel = row[i], j.problem = ways[w].sized, j.data = "random", j.seed = 2;
                j.threads = ways[w].threads, j.rounds = kRoundsEach, j.limit_seconds = kTimeSeconds;
                list->add(j, i, w);
            }
}

void Batch::checked(const Job &job, size_t trial, const JobResult &r, Judges &judges) {
    if (r.outcome == "skipped") return fail(trial, "runner", "skipped: " + r.why);
    if (r.outcome != "passed") return fail(trial, failure_status(r), r.why);
    const std::vector<float> got = program->take_output(job.output);
    const reference::Verdict v = judges.of(job.problem, job.data == "exact", job.seed).verdict(got.data());
    if (!v.good) fail(trial, "wrong", job.data + " data: " + v.sentence);
}

void Batch::timed(size_t trial, size_t way, const JobResult &r) {
    Trial &t = trials[trial];
    if (r.outcome != "passed") return fail(trial, failure_status(r), r.why);
    if (!(r.median_ns > 0) || !(r.min_ns > 0) || !std::isfinite(r.median_ns)) return fail(trial, "runner", "its time is no time");
    t.medians[way].push_back(r.median_ns);
    t.least[way] = std::min(t.least[way], r.min_ns);
    t.flops[way] = r.flops, t.bytes[way] = r.bytes_moved;
}

void Batch::copy_same() {
    for (Trial &t : trials) {
        if (t.same_as < 0) continue;
        const Trial &same = trials[size_t(t.same_as)];
        t.status = same.status, t.why = same.why, t.dropped = same.dropped;
        t.medians = same.medians, t.least = same.least, t.flops = same.flops, t.bytes = same.bytes;
    }
}

void Batch::do_packed(Judges &judges, uint64_t seed, int rounds, const std::vector<int> &threads) {
    JobList list;
    std::vector<std::string> hashes;
    if (!choose_rows()) throw std::runtime_error("no candidate compiles");
    for (size_t i = 0; i < trials.size(); ++i)
        if (row[i] >= 0) hashes.push_back(trials[i].hash);
    program = jobber_for({problem}, options, "tune",
                         nlohmann::json{{"schedules", options.alternatives}, {"hashes", hashes}, {"seed", seed}, {"rounds", rounds}, {"threads", threads}});
    for (size_t i = 0; i < trials.size(); ++i)
        if (row[i] >= 0) list_checks(i, seed, &list);
    const size_t checks = list.jobs.size();
    list_timings(rounds, &list);
    program->run(list.jobs, [&](size_t j, const JobResult &r) {
        if (j < checks) checked(list.jobs[j], list.owner[j], r, judges);
        else timed(list.owner[j], list.way[j], r);
    });
}

void Batch::run(const std::vector<Job> &jobs, const std::vector<size_t> &owner, const std::function<void(size_t, const JobResult &)> &done) {
    size_t next = 0;
    while (next < jobs.size() && !(options.compile.stop && *options.compile.stop)) {
        std::vector<Job> rest(jobs.begin() + long(next), jobs.end());
        const size_t begin = next;
        bool died = false;
        program->run(rest, [&](size_t i, const JobResult &r) {
            if (died) return;
            died = r.outcome != "passed" && failure_status(r) == "runner";
            next = begin + i + 1;
            done(begin + i, r);
        });
        deaths = died ? deaths + 1 : 0;
        // A candidate whose job killed the program does not get another.
        if (deaths >= 3)
            throw std::runtime_error("the run program ended three times without doing a job of schedule " + trials[owner[next - 1]].schedule +
                                     ": does --runner work?");
        while (died && next < jobs.size() && owner[next] == owner[next - 1]) ++next;
    }
}

void Batch::check(Judges &judges, uint64_t seed, size_t from) {
    JobList list;
    link();
    for (size_t i = from; i < trials.size(); ++i)
        if (row[i] >= 0) list_checks(i, seed, &list);
    run(list.jobs, list.owner, [&](size_t j, const JobResult &r) { checked(list.jobs[j], list.owner[j], r, judges); });
}

void Batch::measure(int rounds, bool drop) {
    JobList list;
    list_timings(rounds, &list);
    run(list.jobs, list.owner, [&](size_t j, const JobResult &r) { timed(list.owner[j], list.way[j], r); });
    copy_same();
    double best = HUGE_VAL;
    for (const Trial &t : trials) best = std::min(best, t.cost());
    for (Trial &t : trials)
        if (drop && t.good() && t.cost() > kDrop * best) t.dropped = true;
}

}  // namespace hconv
