// report.cpp - the page of a tuning: one file, no network, the pictures are SVG.
// SPDX-License-Identifier: MIT
#include "schedules/schedule.h"
#include "tools/tune.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace hconv {

namespace {

std::string escaped(const std::string &text) {
    std::string out;
    for (char c : text) out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : std::string(1, c);
    return out;
}

std::string fixed(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

constexpr double kWidth = 640, kHeight = 260, kLeft = 60, kBottom = 40, kTop = 16;

// A picture's frame: data to points.
struct Axes {
    double x0, x1, y0, y1;
    double x(double v) const { return kLeft + (kWidth - kLeft - 16) * (v - x0) / std::max(x1 - x0, 1e-12); }
    double y(double v) const { return kHeight - kBottom - (kHeight - kBottom - kTop) * (v - y0) / std::max(y1 - y0, 1e-12); }
    std::string point(double a, double b) const { return fixed(x(a), 1) + "," + fixed(y(b), 1) + " "; }
};

std::string svg_begin(const std::string &title) {
    return "<svg viewBox=\"0 0 " + fixed(kWidth, 0) + " " + fixed(kHeight, 0) + "\" role=\"img\"><title>" + title + "</title>\n";
}

std::string svg_text(double x, double y, const std::string &text, const std::string &anchor = "start") {
    return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor + "\">" + escaped(text) + "</text>\n";
}

std::string svg_frame(const std::string &below, const std::string &beside) {
    return "<path class=\"axis\" d=\"M" + fixed(kLeft, 0) + " " + fixed(kTop, 0) + " V" + fixed(kHeight - kBottom, 0) + " H" +
           fixed(kWidth - 16, 0) + "\"/>\n" + svg_text(kWidth / 2, kHeight - 6, below, "middle") + svg_text(4, 12, beside);
}

std::string curve(const Tuning &t) {
    double top = 1, low = 1;
    for (const Candidate &c : t.candidates)
        if (c.record.good()) top = std::max(top, c.record.gain), low = std::min(low, c.record.gain);
    const Axes a{0, double(std::max<size_t>(t.candidates.size(), 2)), low * 0.98, top * 1.02};
    std::string dots, line;
    double best = 0;
    for (size_t i = 0; i < t.candidates.size(); ++i) {
        const Candidate &c = t.candidates[i];
        if (!c.record.good()) continue;
        best = std::max(best, c.record.gain);
        line += a.point(double(i + 1), best);
        dots += "<circle cx=\"" + fixed(a.x(double(i + 1)), 1) + "\" cy=\"" + fixed(a.y(c.record.gain), 1) + "\" r=\"2.5\"><title>" +
                escaped(c.schedule) + ": " + fixed(c.record.gain, 3) + "</title></circle>\n";
    }
    std::string marks;
    for (double v : {low, 1.0, top}) marks += svg_text(kLeft - 6, a.y(v) + 4, fixed(v, 2), "end");
    marks += "<path class=\"grid\" d=\"M" + a.point(0, 1) + "L" + a.point(a.x1, 1) + "\"/>\n";
    return svg_begin("best so far") + svg_frame("candidates tried", "speed over the default") + marks + dots + "<polyline points=\"" + line +
           "\"/>\n" + svg_text(kWidth - 16, kHeight - kBottom + 14, std::to_string(t.candidates.size()), "end") + "</svg>\n";
}

// Of a knob: the best gain with each value; its importance: the greatest of these over the smallest.
struct Importance {
    std::string knob;
    double factor;
    std::string values;
};

std::vector<Importance> importances(const Tuning &t) {
    std::vector<Importance> found;
    for (const KnobSpace &s : t.spaces)
        for (const std::string &knob : s.knobs) {
            std::map<int, double> best;
            for (const Candidate &c : t.candidates) {
                const auto [name, list] = split_schedule(c.schedule);
                const size_t at = ("," + list).find("," + knob + "=");
                if (name != s.name || at == std::string::npos || !c.record.good()) continue;
                double &gain = best[std::stoi(list.substr(at + knob.size() + 1))];
                gain = std::max(gain, c.record.gain);
            }
            if (best.size() < 2) continue;
            double low = HUGE_VAL, high = 0;
            std::string values;
            for (const auto &b : best) {
                low = std::min(low, b.second), high = std::max(high, b.second);
                values += (values.empty() ? "" : ", ") + std::to_string(b.first) + ": " + fixed(b.second, 2);
            }
            found.push_back({s.name + " " + knob, high / low, values});
        }
    std::sort(found.begin(), found.end(), [](const Importance &a, const Importance &b) { return a.factor > b.factor; });
    return found;
}

std::string importance_table(const Tuning &t) {
    std::string rows;
    for (const Importance &i : importances(t))
        rows += "<tr><td>" + escaped(i.knob) + "</td><td>" + fixed(i.factor, 2) + "</td><td><div class=\"bar\" style=\"width:" +
                fixed(std::min(200.0, 200 * (i.factor - 1)), 0) + "px\"></div></td><td>" + i.values + "</td></tr>\n";
    return "<table><tr><th>knob</th><th>best value over worst</th><th></th><th>value: best speed over the default with it</th></tr>\n" + rows + "</table>\n";
}

std::string roofline_picture(const Tuning &t) {
    if (t.limits.gflops <= 0 || t.bytes <= 0) return "<p>The machine's limits are not known with a runner.</p>\n";
    const double ridge = t.limits.gflops / t.limits.memory_gbytes, work = t.flops / t.bytes;
    double top = t.limits.gflops;  // formulations with fewer multiply-adds pass it
    for (const Paired &f : t.finals)
        if (!f.medians.empty()) top = std::max(top, t.flops / f.medians.front());
    const Axes a{std::log2(std::min(ridge, work) / 8), std::log2(std::max(ridge, work) * 8), std::log2(t.limits.gflops / 64), std::log2(top * 2)};
    auto roof = [&](double x) { return std::log2(std::min(t.limits.gflops, std::exp2(x) * t.limits.memory_gbytes)); };
    std::string out = svg_begin("roofline") + svg_frame("flops a byte (log scale)", "GFLOP/s, one thread (log scale)") + "<polyline points=\"" +
                      a.point(std::max(a.x0, a.y0 - std::log2(t.limits.memory_gbytes)), std::max(roof(a.x0), a.y0)) + a.point(std::log2(ridge), roof(std::log2(ridge))) + a.point(a.x1, roof(a.x1)) + "\"/>\n";
    out += svg_text(kWidth - 20, a.y(std::log2(t.limits.gflops)) - 5, fixed(t.limits.gflops, 1) + " GFLOP/s, " + fixed(t.limits.memory_gbytes, 1) + " GB/s", "end");
    for (const Paired &f : t.finals) {
        if (f.medians.empty() || (f.schedule != t.winner && f.schedule != t.standard)) continue;
        const double speed = t.flops / f.medians.front(), y = a.y(std::log2(std::max(speed, t.limits.gflops / 64)));
        out += "<circle cx=\"" + fixed(a.x(std::log2(work)), 1) + "\" cy=\"" + fixed(y, 1) + "\" r=\"4\"/>\n" +
               svg_text(a.x(std::log2(work)) - 8, y + (f.schedule == t.winner ? -4 : 12), (f.schedule == t.winner ? "winner " : "default ") + fixed(speed, 1), "end");
    }
    return out + "</svg>\n";
}

std::string trial_table(const Tuning &t) {
    std::ostringstream rows;
    for (size_t i = 0; i < t.candidates.size(); ++i) {
        const Candidate &c = t.candidates[i];
        rows << "<tr><td>" << i + 1 << "</td><td>" << escaped(c.schedule) << "</td><td>" << escaped(c.record.status) << "</td><td>"
             << (c.record.good() ? fixed(c.record.gain, 4) : "") << "</td>";
        for (size_t w = 0; w < t.threads.size(); ++w)
            rows << "<td>" << (w < c.record.times.size() ? fixed(c.record.times[w].median_ns / 1e3, 2) : "") << "</td>";
        rows << "<td>" << escaped(c.origin) << (c.from_log ? " (from the log)" : "") << "</td><td>" << escaped(c.record.why) << "</td></tr>\n";
    }
    std::string heads;
    for (int threads : t.threads) heads += "<th>us, " + std::to_string(threads) + (threads > 1 ? " threads" : " thread") + "</th>";
    return "<table class=\"sortable\"><thead><tr><th>trial</th><th>schedule</th><th>status</th><th>speed over the default</th>" + heads +
           "<th>tried because</th><th>why it failed</th></tr></thead><tbody>\n" + rows.str() + "</tbody></table>\n";
}

const char *const head = R"(<!doctype html><html lang="en"><head><meta charset="utf-8"><title>hconv tune</title><style>
body{font:15px/1.45 sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#222}
svg{width:640px;max-width:100%;background:#fafafa;border:1px solid #ddd}svg text{font:12px sans-serif;fill:#333}
.axis{stroke:#333;fill:none}.grid{stroke:#aaa;stroke-dasharray:4 4;fill:none}polyline{stroke:#0a58a8;stroke-width:2;fill:none}
circle{fill:#c33;fill-opacity:.6}table{border-collapse:collapse}td,th{padding:2px 8px;border-bottom:1px solid #ddd;text-align:left}
th{cursor:pointer}.bar{background:#0a58a8;height:10px}pre{background:#fafafa;border:1px solid #ddd;padding:8px;overflow:auto;max-height:32em}
.two{display:grid;grid-template-columns:1fr 1fr;gap:1em}</style></head><body>
)";

const char *const tail = R"(<script>
for (const table of document.querySelectorAll('table.sortable'))
  table.querySelectorAll('th').forEach((th, column) => th.addEventListener('click', () => {
    const body = table.tBodies[0], rows = [...body.rows], up = th.dataset.up = th.dataset.up === '1' ? '0' : '1';
    const key = row => { const text = row.cells[column].textContent, n = parseFloat(text); return isNaN(n) ? text : n; };
    rows.sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (up === '1' ? 1 : -1); });
    rows.forEach(row => body.appendChild(row));
  }));
</script></body></html>
)";

}  // namespace

std::string report_page(const std::vector<Tuning> &tunings, const std::function<std::string(const Tuning &, const std::string &)> &loops) {
    std::string page = head;
    page += "<h1>hconv tune</h1>\n<table><tr><th>problem</th><th>default</th><th>winner</th><th>speed over the default</th></tr>\n";
    for (const Tuning &t : tunings)
        page += "<tr><td>" + escaped(t.problem.text()) + "</td><td>" + escaped(t.standard) + "</td><td>" + escaped(t.winner) + "</td><td>" + fixed(t.record.gain, 3) + "</td></tr>\n";
    page += "</table>\n";
    for (const Tuning &t : tunings) {
        page += "<h2>" + escaped(t.problem.text()) + "</h2>\n<p>" + escaped(t.target.text) + ". " + std::to_string(t.points) + " feasible points, " +
                std::to_string(t.candidates.size()) + " tried in " + fixed(t.seconds, 0) + " s";
        for (const auto &s : t.statuses()) page += ", " + s.first + " " + std::to_string(s.second);
        page += ".</p>\n<p>" + escaped(t.decision) + "</p>\n<h3>Best so far</h3>\n" + curve(t) + "<h3>What the knobs do</h3>\n" + importance_table(t) +
                "<h3>Against the machine's limits</h3>\n" + roofline_picture(t) + "<h3>Loops</h3>\n<div class=\"two\"><div><p>default: " + escaped(t.standard) +
                "</p><pre>" + escaped(loops(t, t.standard)) + "</pre></div><div><p>winner: " + escaped(t.winner) + "</p><pre>" +
                (t.winner.empty() ? "" : escaped(loops(t, t.winner))) + "</pre></div></div>\n<h3>Trials (a click on a head sorts)</h3>\n" + trial_table(t);
    }
    return page + tail;
}

}  // namespace hconv
