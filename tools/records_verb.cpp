// records_verb.cpp - hconv records: what people do with records of trials.
// SPDX-License-Identifier: MIT
#include "schedules/schedule.h"
#include "tools/process.h"
#include "tools/trial_log.h"
#include "tools/tune.h"
#include "tools/verbs.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <stdexcept>

namespace hconv {

namespace {

class RecordsVerb {
public:
    explicit RecordsVerb(const RecordsOptions &o) : o(o) {
        for (const std::string &file : o.files) {
            try {
                read(file);
            } catch (const std::exception &e) {
                if (o.files.size() == 1) throw;
                finding(e.what());  // the others may be whole
            }
        }
    }

    int run() {
        if (o.what == "best") return print(winners(all));
        if (o.what == "export") return print(all);
        if (o.what == "merge") return merge();
        if (o.what == "import") return import();
        if (o.what == "why") return why();
        if (o.what == "verify") return verify();
        return lint();
    }

private:
    void read(const std::string &file) {
        const std::vector<Record> more = read_records(file, [this](const std::string &sentence) { finding(sentence); });
        if (o.what == "lint" && !is_trial_log(file) && record_lines(winners(more)) != record_lines(more))
            finding(file + ": not the winners sorted by problem, target and machine, each once: hconv records merge -o " + file + " " + file);
        all.insert(all.end(), more.begin(), more.end());
    }
    void finding(const std::string &sentence) {
        std::fprintf(stderr, "hconv: %s\n", sentence.c_str());
        ++findings;
    }
    int status() const { return findings ? 1 : 0; }

    int print(const std::vector<Record> &records) {
        if (o.output.empty()) std::fputs(record_lines(records).c_str(), stdout);
        else write_file(o.output, record_lines(records));
        return status();
    }

    int merge() {
        if (o.output.empty()) throw std::invalid_argument("hconv records merge needs -o FILE");
        print(winners(all));
        std::printf("%s: %zu records\n", o.output.c_str(), winners(all).size());
        return status();
    }

    int import() {
        if (o.output.empty()) throw std::invalid_argument("hconv records import needs -o LOG");
        TrialLog log(o.output, false);
        size_t fresh = 0;
        for (const Record &r : all) fresh += log.add(r);
        std::printf("%s: %zu trials are new, %zu were there\n", o.output.c_str(), fresh, all.size() - fresh);
        return status();
    }

    // A problem's trials: how they ended, the best, and what each knob of the best does when it alone changes.
    int why() {
        std::map<std::string, std::vector<Record>> of;
        const std::string wanted = o.problem.empty() ? "" : Problem::parse(o.problem).text();
        for (const Record &r : all)
            if (wanted.empty() || r.problem == wanted) of[r.problem + " for " + r.target + " on " + r.machine].push_back(r);
        for (const auto &[title, records] : of) {
            std::map<std::string, size_t> statuses;
            const Record *best = nullptr;
            for (const Record &r : records) {
                ++statuses[r.status];
                if (r.good() && (!best || r.gain > best->gain)) best = &r;
            }
            std::printf("%s\n ", title.c_str());
            for (const auto &s : statuses) std::printf(" %s %zu", s.first.c_str(), s.second);
            std::printf("\n");
            for (const Record &r : records)
                if (!r.good()) std::printf("  %-10s %-40s %s\n", r.status.c_str(), r.schedule.c_str(), r.why.c_str());
            if (best) explain(*best, records);
        }
        if (of.empty()) throw std::invalid_argument("there is no trial of " + (wanted.empty() ? "any problem" : wanted) + " in these files");
        return status();
    }

    static std::map<std::string, std::string> knobs_of(const std::string &schedule) {
        std::map<std::string, std::string> knobs;
        const std::string list = split_schedule(schedule).second + ",";
        for (size_t at = 0, end; (end = list.find(',', at)) != std::string::npos; at = end + 1) {
            const std::string item = list.substr(at, end - at);
            knobs[item.substr(0, item.find('='))] = item.substr(std::min(item.find('=') + 1, item.size()));
        }
        return knobs;
    }

    static void explain(const Record &best, const std::vector<Record> &records) {
        std::printf("  best: %s, %.3f times as fast as the default, %.2f us\n", best.schedule.c_str(), best.gain, best.cost() / 1e3);
        const auto knobs = knobs_of(best.schedule);
        for (const Record &r : records) {
            if (!r.good() || split_schedule(r.schedule).first != split_schedule(best.schedule).first) continue;
            std::string changed;
            for (const auto &[knob, value] : knobs_of(r.schedule))
                if (!knobs.count(knob) || knobs.at(knob) != value) changed += (changed.empty() ? "" : " ") + knob + "=" + value;
            if (!changed.empty() && changed.find(' ') == std::string::npos)
                std::printf("    with %-14s %.3f of its speed\n", changed.c_str(), r.gain / best.gain);
        }
    }

    // Is each record's schedule still one that fits, and its code what was measured?
    int lint() {
        std::vector<KernelRequest> requests;
        std::vector<const Record *> of;
        for (const Record &r : all) {
            if (!r.good()) continue;
            try {
                const Target t = resolve_targets(r.target).back();
                const Problem p = Problem::parse(r.problem);
                if (p.text() != r.problem) throw std::invalid_argument("its problem is spelled " + p.text());
                choose_for(p, Halide::Target(t.halide), r.schedule);
                requests.push_back({r.problem, t, r.schedule, false}), of.push_back(&r);
            } catch (const std::invalid_argument &e) {
                finding(r.problem + " with " + r.schedule + ": " + e.what());
            }
        }
        const std::vector<Compiled> made = o.quick ? std::vector<Compiled>() : try_compile(requests, o.kernels.compile);
        for (size_t i = 0; i < made.size(); ++i) {
            if (made[i].status != "ok") finding(of[i]->problem + " with " + of[i]->schedule + ": " + made[i].why);
            else if (made[i].kernel.hash != of[i]->hash)
                finding("stale: " + of[i]->problem + " with " + of[i]->schedule + " was measured with other code: tune it again");
        }
        std::printf("%zu records, %zu findings%s\n", all.size(), findings, o.quick ? " (stale ones were not looked for)" : "");
        return status();
    }

    // Every record's schedule against the default, in paired rounds of one program.
    int verify() {
        double sum = 0;
        size_t count = 0;
        for (const Record &r : winners(all)) {
            const Target t = resolve_targets(r.target).back();
            if (!t.runs_here() && o.kernels.runner.empty()) continue;
            KernelOptions kernels = o.kernels;
            kernels.target = r.target, kernels.compile.records = {"none"}, kernels.compile.progress = nullptr;
            std::vector<int> threads;
            std::vector<std::string> lines{r.problem};
            for (const Timing &one : r.times) {
                if (std::find(threads.begin(), threads.end(), one.threads) == threads.end()) threads.push_back(one.threads);
                if (!one.at.empty() && lines[0].find(one.at) == std::string::npos) lines[0] += (lines[0] == r.problem ? "@" : ",") + one.at;
            }
            const std::string standard = choose_for(Problem::parse(r.problem), Halide::Target(t.halide), "").schedule;
            Batch batch(read_problems(lines).front(), {standard, r.schedule}, kernels, threads);
            Judges judges;
            batch.check(judges, 1, 0);
            batch.measure(9, false);
            if (!batch.trials[0].good() || !batch.trials[1].good()) {
                finding(r.problem + ": " + batch.trials[0].why + batch.trials[1].why);
                continue;
            }
            const double gain = batch.trials[0].cost() / batch.trials[1].cost();
            sum += std::log(gain), ++count;
            std::printf("%-60s %.3f  (its record says %.3f)  %s\n", r.problem.c_str(), gain, r.gain, r.schedule.c_str());
            std::fflush(stdout);
        }
        std::printf("%zu problems: %.3f times as fast as the defaults (geometric mean)\n", count, count ? std::exp(sum / double(count)) : 0);
        return status();
    }

    const RecordsOptions &o;
    std::vector<Record> all;
    size_t findings = 0;
};

}  // namespace

int records_command(const RecordsOptions &o) { return RecordsVerb(o).run(); }

}  // namespace hconv
