// tuned.cpp - see tuned.h.
// SPDX-License-Identifier: MIT
#include "tools/tuned.h"

#include "schedules/schedule.h"
#include "tools/embedded.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

namespace hconv {

namespace {

double factor(int a, int b) { return a == b ? 0 : a <= 0 || b <= 0 ? 4 : std::fabs(std::log2(double(a) / b)); }

std::vector<std::string> with_environment(const std::vector<std::string> &files) {
    std::vector<std::string> all;
    const char *names = std::getenv("HCONV_RECORDS");
    std::istringstream list(names ? names : "");
    for (std::string name; std::getline(list, name, ':');)
        if (!name.empty()) all.push_back(name);
    all.insert(all.end(), files.begin(), files.end());
    return all;
}

// A knob that a record does not name came after it: it has the value that leaves the code as it was, not the problem's default.
std::string with_all_knobs(const std::string &text, const Problem &p, const Halide::Target &target) {
    const auto [name, knobs] = split_schedule(text);
    for (const ScheduleListing &listing : all_schedules()) {
        if (listing.stages != p.family() || listing.folder != schedule_folder(target) || listing.name != name) continue;
        const auto schedule = listing.make();
        schedule->set_knobs(knobs);
        return schedule->text();
    }
    return text;
}

}  // namespace

double problem_distance(const Problem &a, const Problem &b) {
    Problem x = a, y = b;
    double far = 0;
    for (auto size : {&hconv_problem::n, &hconv_problem::h, &hconv_problem::w, &hconv_problem::ci, &hconv_problem::co}) {
        far += factor(x.*size, y.*size);
        x.*size = y.*size;
    }
    const bool depthwise = a.groups == a.ci && b.groups == b.ci && a.groups > 1;
    if (depthwise) x.groups = y.groups;
    for (Problem *p : {&x, &y}) p->flags &= ~uint32_t(HCONV_NORM | HCONV_RESIDUAL | HCONV_NO_BIAS), p->activation = y.activation;
    return a.variant == b.variant && x.text() == y.text() ? far : -1;
}

TunedRecords::TunedRecords(const std::vector<std::string> &files, const std::function<void(const std::string &)> &warn) {
    auto add = [this](const std::vector<Record> &more) {
        for (const Record &r : more)
            if (r.good()) records.push_back(r);
    };
    for (int i = 0; i < hconv_tuned_file_count; ++i) {
        const EmbeddedFile &f = hconv_tuned_files[i];
        const std::string path = f.path;
        if (path.size() > 6 && path.substr(path.size() - 6) == ".jsonl")
            add(read_record_lines(std::string(f.begin, f.end), "schedules/tuned/" + path, warn));
    }
    for (const std::string &file : with_environment(files)) {
        if (file == "none") records.clear();
        else add(read_records(file, warn));
    }
}

Selection TunedRecords::select(const Problem &p, const Target &target, const std::string &machine) const {
    struct Found {
        int rule;
        double far;
        const Record *record;
    };
    std::vector<Found> found;
    const std::string text = p.text();
    for (const Record &r : records) {
        if (r.target != target.halide || dropped.count(record_line(r))) continue;
        if (r.problem == text) {
            found.push_back({r.machine == machine ? 2 : 3, 0, &r});
            continue;
        }
        if (r.gain <= 1) continue;  // its default stayed, and this problem has one of its own
        hconv_problem other;
        char why[HCONV_WHY_BYTES];
        if (hconv_problem_parse(r.problem.c_str(), &other, why, sizeof why)) continue;
        Problem q{};
        static_cast<hconv_problem &>(q) = other;
        const double far = problem_distance(p, q);
        if (far >= 0 && far <= kNear) found.push_back({4, far, &r});
    }
    // Of equals the one that gained most: any build machine chooses the same.
    std::stable_sort(found.begin(), found.end(), [](const Found &a, const Found &b) {
        if (a.rule != b.rule) return a.rule < b.rule;
        if (a.far != b.far) return a.far < b.far;
        if (a.record->gain != b.record->gain) return a.record->gain > b.record->gain;
        return record_line(*a.record) < record_line(*b.record);
    });
    for (const Found &f : found) {
        const Record &r = *f.record;
        const Halide::Target halide(target.halide);
        if (!fits(p, halide, r.schedule)) continue;
        const std::string schedule = with_all_knobs(r.schedule, p, halide);
        if (!fits(p, halide, schedule)) continue;
        const std::string of = f.rule == 2   ? "the record of this problem on this machine"
                               : f.rule == 3 ? "the record of this problem for this target, from the machine " + r.machine
                                             : "the record of the nearest problem, " + r.problem + ", from the machine " + r.machine;
        return {schedule, of + (f.rule == 2 ? " (" + r.machine + ")" : ""), f.rule == 4 ? "" : r.hash, record_line(r)};
    }
    return {};
}

void TunedRecords::drop(const Selection &stale) { dropped.insert(stale.line); }

}  // namespace hconv
