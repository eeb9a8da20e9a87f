// tune_view.cpp - see tune_view.h.
// SPDX-License-Identifier: MIT
#include "tools/tune_view.h"

#include <cstdio>
#include <unistd.h>

namespace hconv {

static std::string format(const char *pattern, double value) {
    char text[64];
    std::snprintf(text, sizeof text, pattern, value);
    return text;
}

std::string speed_text(const Tuning &t, const Record &r) {
    std::string text = format("%.3f", r.gain) + " times as fast as the default";
    for (const Timing &one : r.times)
        text += format(", %.1f us", one.median_ns / 1e3) + (one.at.empty() ? "" : " at " + one.at) +
                (one.threads > 1 ? " with " + std::to_string(one.threads) + " threads" : "");
    const double share = r.times.empty() || r.times.front().threads != 1 ? 0 : t.limits.share(t.flops, t.bytes, r.times.front().median_ns);
    return share > 0 && t.flops > 0 ? text + format(", %.0f %% of one core's limit", 100 * share) : text;
}

static std::string statuses_text(const Tuning &t) {
    std::string text;
    for (const auto &s : t.statuses()) text += (text.empty() ? "" : ", ") + s.first + " " + std::to_string(s.second);
    return text;
}

TuneView::TuneView(size_t all, size_t most_candidates) : problems(all), most(most_candidates), terminal(isatty(1)) {}

void TuneView::clear() {
    for (; lines > 0; --lines) std::printf("\033[A\033[2K");
}

void TuneView::begin(const Tuning &t) {
    std::string schedules;
    for (const KnobSpace &s : t.spaces) schedules += (schedules.empty() ? "" : ", ") + s.name;
    std::printf("[%zu/%zu] %s for %s: %zu feasible points of %s; the default is %s\n", ++number, problems, t.problem.text().c_str(),
                t.target.text.c_str(), t.points, schedules.c_str(), t.standard.c_str());
    std::fflush(stdout);
}

void TuneView::doing(const std::string &what) {
    if (!terminal) return;
    std::printf("\r\033[2K  %s", what.substr(0, 100).c_str());
    std::fflush(stdout);
}

void TuneView::batch(const Tuning &t, double left) {
    const Candidate *best = t.best();
    const size_t tried = t.candidates.size();
    if (!terminal) {
        std::printf("  %zu tried (%s), %.0f s left: best %s\n", tried, statuses_text(t).c_str(), left > 0 ? left : 0,
                    best ? (best->schedule + ", " + speed_text(t, best->record)).c_str() : "none");
        std::fflush(stdout);
        return;
    }
    std::printf("\r\033[2K");
    clear();
    const size_t done = most ? 40 * (tried < most ? tried : most) / most : 0;
    std::printf("  [%s%s] %zu of %zu candidates, %.0f s left\n", std::string(done, '#').c_str(), std::string(40 - done, '.').c_str(), tried,
                most, left > 0 ? left : 0);
    std::printf("  %s\n  best: %s\n        %s\n", statuses_text(t).c_str(), best ? best->schedule.c_str() : "none yet",
                best ? speed_text(t, best->record).c_str() : "");
    lines = 4;
    std::fflush(stdout);
}

void TuneView::end(const Tuning &t) {
    if (terminal) std::printf("\r\033[2K");
    lines = 0;
    std::printf("  %s\n", t.decision.c_str());
    for (const Candidate &c : t.candidates)
        if (c.origin == "compared") std::printf("    %-48s %s: %s\n", c.schedule.c_str(), c.record.status.c_str(), c.record.why.c_str());
    for (const Paired &f : t.finals)
        std::printf("    %-48s %.3f times the incumbent's speed (quartiles %.3f, %.3f)\n", f.schedule.c_str(), f.ratio, f.low, f.high);
    std::fflush(stdout);
}

}  // namespace hconv
