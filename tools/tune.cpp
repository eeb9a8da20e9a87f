// tune.cpp - see tune.h. A batch: the default, the best so far and new candidates are compiled at once, linked into one
// program, checked, and timed in turns; what is clearly slower than the best leaves early. At the end the five best meet the
// incumbent in paired rounds, and only what wins those becomes a record.
// SPDX-License-Identifier: MIT
#include "tools/tune.h"

#include "bench/roofline.h"
#include "schedules/schedule.h"
#include "tools/process.h"
#include "tools/trial_log.h"
#include "tools/tune_view.h"
#include "tools/tuned.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fcntl.h>
#include <signal.h>
#include <stdexcept>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace hconv {

namespace fs = std::filesystem;

namespace {

constexpr size_t kBatch = 16, kFinalists = 5;
constexpr int kFinalRounds = 15, kPackedRounds = 9;
constexpr double kWorth = 1.01;      // a median gain below it is no gain
constexpr double kNoWorse = 0.97;    // that every way of running must keep
constexpr double kFinalShare = 0.12;  // of the time, for the finals

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) { interrupted = 1; }

std::string short_tool() { return hash_text(tool_identity()).substr(0, 16); }

std::string percent(double ratio) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%", 100 * (ratio - 1));
    return text;
}

CoreLimits measure_limits(const std::string &isa) {
    const size_t l2 = hconv_roofline_l2(), far = std::max<size_t>(8 * l2, 1 << 24);
    return {hconv_roofline_gflops(isa.c_str(), 0, 1, 0.1, nullptr), hconv_roofline_gbytes(l2 / 2, 0, 1, 0.1, nullptr),
            hconv_roofline_gbytes(far, 0, 1, 0.1, nullptr)};
}

class Tuner {
public:
    Tuner(const TuneOptions &o, const std::vector<ListedProblem> &problems)
        : options(o), log(o.log.empty() ? default_log() : fs::path(o.log), false), view(problems.size(), o.candidates),
          tuned(o.kernels.compile.records, o.kernels.compile.warn), machine(o.machine.empty() ? machine_name() : o.machine) {
        options.kernels.compile.stop = &interrupted;
        options.kernels.compile.progress = [this](size_t done, size_t count, const std::string &) {
            view.doing("compiling " + std::to_string(done) + " of " + std::to_string(count));
        };
        const int cores = int(std::max(1u, std::thread::hardware_concurrency()));
        if (options.threads.empty()) options.threads = cores > 1 ? std::vector<int>{1, cores} : std::vector<int>{1};
        if (options.kernels.runner.empty() && resolve_targets(o.kernels.target).back().runs_here())
            limits = measure_limits(resolve_targets(o.kernels.target).back().isa);
    }

    Tuning tune(const ListedProblem &problem) {
        Tuning t = begin(problem);
        start = now();
        Search search(t.spaces, options.seed, options.method, first_of(t));
        read_log(t);
        view.begin(t);
        while (!interrupted) {
            std::vector<Proposal> batch = search.propose(batch_size(t));
            if (batch.empty()) break;
            try_batch(t, batch, search);
            view.batch(t, options.seconds - (now() - start));
        }
        decide(t);
        t.seconds = now() - start;
        view.end(t);
        return t;
    }

    // Only paired rounds of the schedules that were given, against the first.
    Tuning compare(const ListedProblem &problem) {
        Tuning t = begin(problem);
        std::vector<std::string> schedules;
        for (const std::string &s : options.compare) schedules.push_back(s == "default" ? t.standard : s);
        view.begin(t);
        finals(t, schedules);
        if (!t.finals.empty()) t.decision = "against " + schedules.front();
        view.end(t);
        return t;
    }

    std::vector<Proposal> first_proposals(const ListedProblem &problem, Tuning *t) {
        *t = begin(problem);
        Search search(t->spaces, options.seed, options.method, first_of(*t));
        return search.propose(kBatch);
    }

    // The first candidates, compiled, as a folder that measures them elsewhere.
    void pack_up(const ListedProblem &problem) {
        Tuning t = begin(problem);
        std::vector<std::string> schedules;
        Search search(t.spaces, options.seed, options.method, first_of(t));
        for (const Proposal &p : search.propose(std::min<size_t>(options.candidates, 4 * kBatch))) schedules.push_back(p.schedule);
        Batch batch(problem, schedules, options.kernels, options.threads);
        for (const Trial &trial : batch.trials)
            if (!trial.good()) log.add(record_of(t, trial, batch.ways, 0));
        batch.do_packed(judges, options.seed, kPackedRounds, options.threads);
        std::printf("%zu candidates are packed: start %s/run where they shall be timed, and bring the folder back\n", batch.trials.size(),
                    options.kernels.pack_up.c_str());
    }

    // What such a folder brought back: trials for the log; the best of them.
    Tuning unpack() {
        const nlohmann::json numbers = unpack_options(options.kernels, "tune");
        options.seed = numbers.at("seed"), options.threads = numbers.at("threads").get<std::vector<int>>();
        const ListedProblem problem = read_problems(options.kernels.problems).front();
        Tuning t = begin(problem);
        Batch batch = Batch::packed(problem, numbers.at("schedules"), numbers.at("hashes"), options.kernels, options.threads);
        batch.do_packed(judges, options.seed, numbers.at("rounds"), options.threads);
        if (!batch.trials.front().good()) throw std::runtime_error("the default failed there: " + batch.trials.front().why);
        t.flops = batch.trials.front().flops.front(), t.bytes = batch.trials.front().bytes.front(), t.winner = t.standard;
        view.begin(t);
        for (const Trial &trial : batch.trials) {
            const Record r = record_of(t, trial, batch.ways, batch.trials.front().cost());
            log.add(r);
            t.candidates.push_back({trial.schedule, "packed up", r, 0, false});
            if (!trial.good()) continue;
            t.finals.push_back(pair_of(batch.trials.front(), trial));
            last_records[trial.schedule] = r;
        }
        choose(t);
        view.end(t);
        return t;
    }

    const std::string &machine_of() const { return machine; }

private:
    double now() {
        if (options.fake_clock > 0) return fake += options.fake_clock;
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }

    Tuning begin(const ListedProblem &problem) {
        Tuning t;
        t.problem = problem, t.target = resolve_targets(options.kernels.target).back(), t.threads = options.threads;
        t.spaces = spaces_of(problem.problem, t.target);
        for (const KnobSpace &s : t.spaces) t.points += s.points.size();
        t.standard = choose_for(problem.problem, Halide::Target(t.target.halide), "").schedule;
        const Selection s = tuned.select(problem.problem, t.target, machine);
        t.incumbent = s.hash.empty() ? t.standard : s.schedule;
        t.limits = limits;
        judges = Judges();
        known.clear(), by_hash.clear();
        return t;
    }

    // The default, what the records say, and the winners of the two nearest problems tuned before.
    std::vector<Proposal> first_of(const Tuning &t) {
        std::vector<Proposal> first{{t.standard, "the default"}};
        if (t.incumbent != t.standard) first.push_back({t.incumbent, "the record"});
        std::vector<Record> all = tuned.all(), of_log = log.records([](const std::string &) {});
        all.insert(all.end(), of_log.begin(), of_log.end());
        std::vector<std::pair<double, Record>> near;
        for (const Record &r : winners(all)) {
            if (r.target != t.target.halide || r.problem == t.problem.text()) continue;
            try {
                const double far = problem_distance(t.problem.problem, Problem::parse(r.problem));
                if (far >= 0) choose_for(t.problem.problem, Halide::Target(t.target.halide), r.schedule), near.push_back({far, r});
            } catch (const std::invalid_argument &) {  // does not fit
            }
        }
        std::stable_sort(near.begin(), near.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
        for (size_t i = 0; i < near.size() && i < 2; ++i) first.push_back({near[i].second.schedule, "won " + near[i].second.problem});
        return first;
    }

    // Trials of this problem that need not be made again: of the same command, or with the hash of what is compiled now.
    void read_log(const Tuning &t) {
        for (const Record &r : log.records_of(t.problem.text(), t.target.halide, machine)) {
            if (r.good() && r.setting() != setting_of(t)) continue;
            if (r.tool == short_tool()) known[r.schedule] = r;
            if (!r.hash.empty()) by_hash[r.schedule + "\n" + r.hash] = r;
        }
    }

    std::string setting_of(const Tuning &t) const {
        Record r;
        for (const Way &w : ways_of(t.problem, options.threads)) r.times.push_back({w.at, w.threads});
        return r.setting();
    }

    // As many as the time that is left allows, from what those before took.
    size_t batch_size(const Tuning &t) {
        const double used = now() - start, left = options.seconds * (1 - kFinalShare) - used;
        const size_t made = t.candidates.size();
        if (made >= options.candidates) return 0;
        const double each = measured ? used / double(measured) : 2;
        const size_t affordable = left <= 0 ? 0 : size_t(left / std::max(each, 1e-6));
        size_t count = std::min({kBatch, affordable, options.candidates - made});
        if (made == 0) return measured = 0, std::max<size_t>(count, 2);
        return count < 4 && affordable < options.candidates - made ? 0 : count;  // too little time for a batch that is worth it
    }

    void tell(Tuning &t, const Proposal &p, const Record &r, bool from_log, Search &search) {
        t.candidates.push_back({p.schedule, p.origin, r, now() - start, from_log});
        search.tell(p.schedule, r.good() && r.gain > 0 ? 1 / r.gain : HUGE_VAL);
    }

    Record record_of(const Tuning &t, const Trial &trial, const std::vector<Way> &ways, double reference_cost) const {
        Record r;
        r.problem = t.problem.text(), r.target = t.target.halide, r.machine = machine, r.schedule = trial.schedule;
        r.status = trial.status, r.why = trial.why, r.hash = trial.hash;
        r.tool = short_tool(), r.halide = halide_version(), r.date = today();
        r.times = trial.times(ways, kRoundsEach);
        r.gain = trial.good() ? reference_cost / trial.cost() : 0;
        return r;
    }

    void try_batch(Tuning &t, const std::vector<Proposal> &proposals, Search &search) {
        std::vector<std::string> schedules{t.standard};
        std::vector<Proposal> fresh;
        if (const Candidate *best = t.best(); best && best->schedule != t.standard) schedules.push_back(best->schedule);
        const size_t old = t.candidates.empty() ? 0 : schedules.size(), context = schedules.size();
        for (const Proposal &p : proposals) {
            const auto there = known.find(p.schedule);
            if (there != known.end()) tell(t, p, there->second, true, search);
            else fresh.push_back(p);
        }
        if (fresh.empty()) return;
        for (const Proposal &p : fresh) schedules.push_back(p.schedule);
        Batch batch(t.problem, schedules, options.kernels, options.threads);
        if (interrupted) return;
        t.compiled += batch.totals.compiled;
        for (size_t i = context; i < batch.trials.size(); ++i)
            batch.trials[i].known = by_hash.count(batch.trials[i].schedule + "\n" + batch.trials[i].hash) && batch.trials[i].good();
        view.doing("checking");
        check(batch, options.seed, old);
        view.doing("timing");
        if (!interrupted) batch.measure(1, true);
        if (!interrupted) batch.measure(3, true);
        if (!interrupted && !batch.trials.front().good())
            throw std::runtime_error("the default schedule " + t.standard + " of " + t.problem.text() + " failed: " + batch.trials.front().why);
        keep_trials(t, fresh, batch, context, search);
    }

    // What an interrupt breaks off is no failure.
    void check(Batch &batch, uint64_t seed, size_t from) {
        try {
            batch.check(judges, seed, from);
        } catch (const std::exception &) {
            if (!interrupted) throw;
        }
    }

    void keep_trials(Tuning &t, const std::vector<Proposal> &fresh, const Batch &batch, size_t context, Search &search) {
        const double standard = batch.trials.front().cost();
        t.flops = batch.trials.front().flops.front(), t.bytes = batch.trials.front().bytes.front();
        for (size_t i = 0; i < fresh.size(); ++i) {
            const Trial &trial = batch.trials[context + i];
            ++measured;
            if (trial.known) {
                const Record &r = by_hash.at(trial.schedule + "\n" + trial.hash);
                tell(t, fresh[i], r, true, search);
                continue;
            }
            const bool whole = !trial.good() || std::none_of(trial.medians.begin(), trial.medians.end(), [](const auto &m) { return m.empty(); });
            if (!whole || (interrupted && !trial.good()) || !std::isfinite(standard)) continue;  // interrupted: no trial
            const Record r = record_of(t, trial, batch.ways, standard);
            log.add(r);
            tell(t, fresh[i], r, false, search);
        }
    }

    // Paired rounds; ratios to the first.
    void finals(Tuning &t, const std::vector<std::string> &schedules) {
        Batch batch(t.problem, schedules, options.kernels, options.threads);
        if (interrupted) return;
        view.doing("the last comparison: checking");
        check(batch, options.seed + 1, 0);
        view.doing("the last comparison: timing");
        batch.measure(kFinalRounds, false);
        if (!interrupted && !batch.trials.front().good())
            throw std::runtime_error("schedule " + schedules.front() + " failed the last comparison: " + batch.trials.front().why);
        t.flops = batch.trials.front().flops.front(), t.bytes = batch.trials.front().bytes.front();
        for (const Trial &trial : batch.trials) {
            if (!trial.good() && !options.compare.empty()) t.candidates.push_back({trial.schedule, "compared", record_of(t, trial, batch.ways, 0), 0, false});
            if (!trial.good() || interrupted) continue;
            t.finals.push_back(pair_of(batch.trials.front(), trial));
            last_records[trial.schedule] = record_of(t, trial, batch.ways, batch.trials.front().cost());
        }
    }

    static Paired pair_of(const Trial &incumbent, const Trial &trial) {
        Paired p;
        p.schedule = trial.schedule;
        std::vector<double> rounds(trial.medians.front().size(), 0);
        const double ways = double(trial.medians.size());
        p.worst_way = HUGE_VAL;
        for (size_t w = 0; w < trial.medians.size(); ++w) {
            std::vector<double> of_way;
            for (size_t r = 0; r < rounds.size(); ++r) {
                of_way.push_back(incumbent.medians[w][r] / trial.medians[w][r]);
                rounds[r] += std::log(of_way.back()) / ways;
            }
            p.worst_way = std::min(p.worst_way, median_of(of_way));
            p.medians.push_back(median_of(trial.medians[w]));
        }
        std::sort(rounds.begin(), rounds.end());
        p.ratio = std::exp(median_of(rounds)), p.low = std::exp(rounds[rounds.size() / 4]), p.high = std::exp(rounds[rounds.size() * 3 / 4]);
        return p;
    }

    void decide(Tuning &t) {
        t.winner = t.incumbent;
        const Candidate *best = t.best();
        if (interrupted || !best) {
            t.decision = std::string(interrupted ? "interrupted; " : "") +
                         (best ? "the best so far: " + best->schedule + ", " + speed_text(t, best->record) + "; not compared in paired rounds"
                               : "nothing was measured");
            return;
        }
        std::vector<std::string> schedules{t.incumbent};
        std::vector<std::pair<double, std::string>> ranked;
        for (const Candidate &c : t.candidates)
            if (c.record.good() && c.schedule != t.incumbent) ranked.push_back({-c.record.gain, c.schedule});
        std::sort(ranked.begin(), ranked.end());
        for (size_t i = 0; i < ranked.size() && schedules.size() <= kFinalists; ++i) schedules.push_back(ranked[i].second);
        if (std::find(schedules.begin(), schedules.end(), t.standard) == schedules.end()) schedules.push_back(t.standard);
        last_records.clear();
        finals(t, schedules);
        choose(t);
    }

    void choose(Tuning &t) {
        const std::string what = t.incumbent == t.standard ? "the default" : "the record's schedule";
        const Paired *won = nullptr;
        t.decision = "interrupted before the last comparison was done";
        if (t.finals.empty() || interrupted) return;
        for (const Paired &f : t.finals)
            if (f.ratio > kWorth && f.low > 1 && f.worst_way > kNoWorse && (!won || f.ratio > won->ratio)) won = &f;
        if (won) t.winner = won->schedule;
        t.record = last_records.at(t.winner);
        for (const Paired &f : t.finals)  // gain is over the default, whatever the incumbent was
            if (f.schedule == t.standard) t.record.gain = (won ? won->ratio : 1) / f.ratio;
        t.decision = won ? t.winner + " beats " + what + " by " + percent(won->ratio) + ": " + speed_text(t, t.record)
                         : "keeps " + what + ", " + t.incumbent + ": nothing beats it beyond the noise; " + speed_text(t, t.record);
    }

    TuneOptions options;
    TrialLog log;
    TuneView view;
    TunedRecords tuned;
    const std::string machine;
    Judges judges;
    CoreLimits limits;
    std::map<std::string, Record> known, by_hash, last_records;
    size_t measured = 0;  // candidates of this problem, without those that the log knew
    double start = 0, fake = 0;
};

fs::path keep_path(const TuneOptions &o, const std::string &machine) {
    if (!o.keep.empty()) return o.keep;
    std::string file = machine;
    std::replace(file.begin(), file.end(), '/', '-');
    if (!fs::is_directory("schedules/tuned"))
        throw std::invalid_argument("--keep without a file writes to schedules/tuned/, which is not here: name a file");
    return fs::path("schedules/tuned") / (file + ".jsonl");
}

// Others may keep theirs in the same file: a lock on its folder, and the new file takes the old one's place.
void keep_winners(const fs::path &file, const std::vector<Tuning> &tunings) {
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    const int lock = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX)) throw std::runtime_error("cannot lock the folder " + folder.string() + ": is it there?");
    std::vector<Record> records;
    auto warn = [](const std::string &sentence) { std::fprintf(stderr, "warning: %s\n", sentence.c_str()); };
    if (fs::exists(file)) records = read_record_lines(read_file(file), file.string(), warn);
    size_t changed = 0;
    for (const Tuning &t : tunings) {
        if (!t.record.good()) continue;
        auto same = [&](const Record &r) { return r.problem == t.record.problem && r.target == t.record.target && r.machine == t.record.machine; };
        const auto old = std::find_if(records.begin(), records.end(), same);
        if (old != records.end() && old->schedule == t.record.schedule && old->hash == t.record.hash) continue;
        records.erase(std::remove_if(records.begin(), records.end(), same), records.end());
        records.push_back(t.record), ++changed;
    }
    write_file(file, record_lines(winners(records)));
    close(lock);
    std::printf("%s: %zu of %zu records are new\n", file.c_str(), changed, tunings.size());
}

int dry_run(Tuner &tuner, const std::vector<ListedProblem> &problems) {
    for (const ListedProblem &p : problems) {
        Tuning t;
        const std::vector<Proposal> first = tuner.first_proposals(p, &t);
        std::printf("%s for %s: %zu feasible points; first:\n", p.text().c_str(), t.target.text.c_str(), t.points);
        for (const KnobSpace &s : t.spaces) std::printf("  %s: %zu of %.0f points fit\n", s.name.c_str(), s.points.size(), s.raw);
        for (const Proposal &c : first) std::printf("  %-48s %s\n", c.schedule.c_str(), c.origin.c_str());
    }
    return 0;
}

void write_json(const std::string &file, const std::vector<Tuning> &tunings) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Tuning &t : tunings) {
        nlohmann::ordered_json finals = nlohmann::ordered_json::array(), trials = nlohmann::ordered_json::array();
        for (const Paired &f : t.finals)
            finals.push_back({{"schedule", f.schedule}, {"ratio", f.ratio}, {"low", f.low}, {"high", f.high}, {"ns", f.medians}});
        for (const Candidate &c : t.candidates)
            trials.push_back({{"schedule", c.schedule}, {"origin", c.origin}, {"status", c.record.status}, {"why", c.record.why}, {"gain", c.record.gain},
                              {"seconds", c.seconds}, {"from_log", c.from_log}});
        rows.push_back({{"problem", t.problem.text()}, {"target", t.target.halide}, {"threads", t.threads}, {"points", t.points},
                        {"default", t.standard}, {"winner", t.winner}, {"gain", t.record.gain}, {"compiled", t.compiled},
                        {"seconds", t.seconds}, {"finals", finals}, {"trials", trials}});
    }
    write_file(file, rows.dump(1) + "\n");
}

std::string loops_of(const Tuning &t, const std::string &schedule) {
    const ProcessResult r = run_process({own_path(), "show", t.problem.text(), "--target", t.target.halide, "--schedule", schedule, "--as", "loops"},
                                        {60, uint64_t(8) << 30});
    return r.exit_code ? "(hconv show failed: " + r.output + ")" : r.output;
}

}  // namespace

double CoreLimits::share(double flops, double bytes, double ns) const {
    if (gflops <= 0 || l2_gbytes <= 0 || memory_gbytes <= 0 || ns <= 0) return 0;
    const double near = std::min(bytes, double(hconv_roofline_l2()));  // may still lie in the second cache
    return std::max(flops / gflops, near / l2_gbytes + (bytes - near) / memory_gbytes) / ns;
}

const Candidate *Tuning::best() const {
    const Candidate *found = nullptr;
    for (const Candidate &c : candidates)
        if (c.record.good() && (!found || c.record.gain > found->record.gain)) found = &c;
    return found;
}

std::map<std::string, size_t> Tuning::statuses() const {
    std::map<std::string, size_t> counts;
    for (const Candidate &c : candidates) ++counts[c.record.status];
    return counts;
}

fs::path default_log() { return default_cache() / "trials.sqlite"; }

int tune_command(const TuneOptions &o) {
    const std::vector<ListedProblem> problems = read_problems(o.kernels.problems);
    const bool back = !o.kernels.results.empty();
    if (!o.kernels.pack_up.empty() && problems.size() != 1) throw std::invalid_argument("hconv tune packs up one problem at a time");
    if (back && o.machine.empty()) throw std::invalid_argument("say with --machine on which machine the results were measured");
    if (problems.empty() && !back) throw std::invalid_argument("hconv tune needs a problem");
    if (resolve_targets(o.kernels.target).size() != 1) throw std::invalid_argument("hconv tune needs one target, such as " + resolve_targets(o.kernels.target).back().text);
    fs::create_directories((o.log.empty() ? default_log() : fs::absolute(o.log)).parent_path());
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    if (o.kernels.pack_up.empty()) sigaction(SIGINT, &action, nullptr);
    signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is a full disk
    Tuner tuner(o, problems);
    if (o.dry_run) return dry_run(tuner, problems);
    if (!o.kernels.pack_up.empty()) return tuner.pack_up(problems.front()), 0;
    const fs::path keep = o.keep_winners ? keep_path(o, tuner.machine_of()) : fs::path();
    std::vector<Tuning> tunings;
    double gains = 0;
    if (back) {
        tunings.push_back(tuner.unpack());
        if (o.keep_winners) keep_winners(keep, tunings);
    }
    for (const ListedProblem &p : problems) {
        if (interrupted) break;
        tunings.push_back(o.compare.empty() ? tuner.tune(p) : tuner.compare(p));
        if (tunings.back().record.gain > 0) gains += std::log(tunings.back().record.gain);
        if (o.keep_winners && o.compare.empty()) keep_winners(keep, {tunings.back()});
    }
    if (o.compare.empty() && !interrupted && tunings.size() > 1)
        std::printf("all %zu: %.3f times as fast as the defaults (geometric mean)\n", tunings.size(), std::exp(gains / double(tunings.size())));
    if (!o.json.empty()) write_json(o.json, tunings);
    if (!o.report.empty()) write_file(o.report, report_page(tunings, loops_of));
    std::printf("every trial is in %s\n", (o.log.empty() ? default_log() : fs::path(o.log)).c_str());
    return interrupted ? 130 : 0;
}

}  // namespace hconv
