// show.cpp - see show.h. Of several problems, show also prints the chain's totals: parameters and multiply-adds add up, the
// receptive field is 1 + sum of (reach - 1) times the strides before.
// SPDX-License-Identifier: MIT
#include "tools/show.h"

#include "runtime/pack.h"
#include "schedules/schedule.h"
#include "tests/reference/filtering.h"
#include "tools/compile.h"
#include "tools/emit.h"
#include "tools/process.h"
#include "tools/targets.h"
#include "tools/tuned.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <iostream>
#include <set>
#include <stdexcept>

namespace hconv {

namespace {

// Outermost first, as the C API has it: activations in the problem's layout, whose letters follow.
std::string shape_text(const Problem &p, const hconv_tensor &t) {
    std::string order = t.letters, shape;
    if (t.role != HCONV_PARAMETER && t.rank > 2 && !p.nchw()) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
    for (int i = 0; i < t.rank; ++i) {
        size_t at = t.role == HCONV_PARAMETER ? size_t(i) : std::string(t.letters).find(order[size_t(i)]);
        shape += (i ? ", " : "") + (t.extent[at] ? std::to_string(t.extent[at]) : std::string("?"));
    }
    return "[" + shape + "]" + (t.role != HCONV_PARAMETER && t.rank > 2 ? " " + order : "");
}

double elements(const hconv_tensor &t) {
    double count = 1;
    for (int i = 0; i < t.rank; ++i) count *= double(t.extent[i]);
    return count;
}

bool trainable(const hconv_tensor &t) {
    const std::string name = t.name;
    return t.role == HCONV_PARAMETER && !t.optional && name.find("running_") == std::string::npos;
}

struct Totals {
    double parameters = 0, multiply_adds = 0;
    long reach_h = 1, reach_w = 1, step_h = 1, step_w = 1;
};

void show_problem(const Problem &p, Totals &total) {
    double parameters = 0, bytes = 0, macs = p.kind().family->multiply_adds(&p);
    std::printf("%s\n  %s\n", p.text().c_str(), p.kind().about);
    static const char *const roles[] = {"input", "parameter", "output"};
    for (const hconv_tensor &t : p.tensors()) {
        std::printf("  %-9s  %-30s %s%s\n", roles[t.role], t.name, shape_text(p, t).c_str(), t.optional ? "  optional" : "");
        if (trainable(t)) parameters += elements(t);
        if (!t.optional) bytes += 4 * elements(t);
    }
    int high = 1, wide = 1;
    p.kind().family->receptive_field(&p, &high, &wide);
    std::printf("  parameters       %.0f\n", parameters);
    if (p.open()) {
        std::printf("  multiply-adds    depend on the open sizes\n");
    } else {
        std::printf("  multiply-adds    %.0f\n  bytes            %.0f\n", macs, bytes);
    }
    std::printf("  receptive field  %d x %d\n", high, wide);
    total.parameters += parameters, total.multiply_adds += macs;
    total.reach_h += (high - 1) * total.step_h, total.reach_w += (wide - 1) * total.step_w;
    total.step_h *= p.stride_h, total.step_w *= p.stride_w;
}

// The schedule given or recorded; rule: why the record. Only what emit does tells whether a record is stale.
std::string looked_up(const Problem &p, const ShowOptions &o, std::string *rule) {
    auto warn = [](const std::string &sentence) { std::fprintf(stderr, "warning: %s\n", sentence.c_str()); };
    const Target t = resolve_targets(o.target).back();
    const std::string machine = o.target == "host" ? machine_name() : "";
    if (!o.schedule.empty() || TunedRecords(o.records, warn).select(p, t, machine).rule.empty()) return o.schedule;
    EmitOptions emit;
    emit.problems = {p.text()};
    emit.targets = {o.target == "host" ? o.target : t.halide};
    emit.compile.records = o.records, emit.compile.warn = warn;
    const KernelRecord k = compile_library(emit).kernels.front();
    *rule = k.rule;
    return k.schedule;
}

// Minimal filtering's bound: its sums' magnitudes are at most `growth` times the direct sum's over a tile of equal magnitudes.
void show_rounding(const Problem &p, const std::string &layout) {
    const hconv_window_transform *transform = hconv_layout_transform(layout.c_str());
    if (!transform) return;
    for (const reference::Filter *f : {&reference::filter_2_3(), &reference::filter_4_3(), &reference::filter_2_2()}) {
        const bool phases = transform->rows == 2 * f->taps && transform->columns == 2 * f->window;
        if (!phases && (transform->rows != f->taps || transform->columns != f->window)) continue;
        std::printf("  rounding         at most %.0f u of what the sums of F(%d,%d) hold, up to %.1f times the direct sum's (u = 2^-24)\n",
                    p.ci + 2 + 2 * (f->forward_roundings + f->inverse_roundings), f->outputs, f->window, f->growth() * f->growth());
        return;
    }
}

void show_schedule(const Problem &p, const Target &t, const ShowOptions &o) {
    std::string rule;
    Choice c = choose_for(p, Halide::Target(t.halide), looked_up(p, o, &rule));
    if (!rule.empty()) c.rule = rule;
    std::printf("  schedule         %s for %s\n", c.schedule.c_str(), t.text.c_str());
    if (!o.why) return;
    std::printf("  because          %s\n", c.rule.c_str());
    for (const TensorArgument &a : c.arguments)
        if (a.tensor.role == HCONV_PARAMETER) std::printf("  packed           %-14s as %s\n", a.tensor.name, a.layout.c_str());
    for (const TensorArgument &a : c.arguments) show_rounding(p, a.layout);
}

}  // namespace

int list_command(const std::string &what) {
    if (what.empty() || what == "variants") {
        std::printf("variants (problem = variant { _item }; keys with their defaults, * = computed):\n");
        for (const hconv_variant &v : hconv_variants)
            std::printf("  %-10s %s\n             keys  %s\n             words %s\n", v.name, v.about, v.keys, v.words);
        std::printf("  act = relu relu6 leaky prelu silu hardswish hardsigmoid gelu gelutanh sigmoid tanh\n");
    }
    if (what.empty() || what == "targets") {
        std::printf("targets (a platform alone means all its CPU levels; host = this CPU):\n");
        for (const Target &t : known_targets()) {
            const bool gpu = t.features & HCONV_DEVICE_CUDA, linked = !c_compiler_for(t.platform).empty();
            const char *how = t.runs_here() ? "runs here" : gpu ? "runs on a GPU" : linked ? "with a --runner" : "emit only: no C compiler for it here";
            std::printf("  %-22s %-7s %-6s %s\n", t.text.c_str(), t.isa.c_str(), schedule_folder(Halide::Target(t.halide)).c_str(), how);
        }
    }
    if (what.empty() || what == "schedules") {
        std::printf("schedules (generic fits every variant on every target):\n");
        for (const ScheduleListing &s : all_schedules()) {
            std::printf("  %-5s %-8s %s\n", s.folder.c_str(), s.stages.c_str(), s.name.c_str());
            const auto schedule = s.make();
            for (const Knob *k : schedule->knobs) {
                std::printf("                   %s=%d  of", k->name, k->value);
                for (int v : k->values) std::printf(" %d", v);
                std::printf("\n");
            }
        }
    }
    return 0;
}

int show_command(const ShowOptions &o) {
    const std::set<std::string> views{"", "schedule", "loops", "stmt", "asm", "ptx"};
    if (!views.count(o.as)) throw std::invalid_argument("--as is schedule, loops, stmt, asm or ptx; not '" + o.as + "'");
    const Target target = resolve_targets(o.target).back();
    Totals total;
    for (const std::string &text : o.problems) {
        Problem p = Problem::parse(text);
        if (!o.as.empty() && o.as != "schedule") {
            std::string rule;
            std::printf("%s", show_code({p.text(), target, looked_up(p, o, &rule)}, o.as).c_str());
            continue;
        }
        show_problem(p, total);
        show_schedule(p, target, o);
    }
    if (o.problems.size() > 1 && (o.as.empty() || o.as == "schedule"))
        std::printf("all %zu in a row\n  parameters       %.0f\n  multiply-adds    %.0f\n  receptive field  %ld x %ld\n",
                    o.problems.size(), total.parameters, total.multiply_adds, total.reach_h, total.reach_w);
    return 0;
}

int doctor_command() {
    bool good = true;
    auto line = [&](const std::string &what, const std::string &found, const std::string &otherwise, bool needed) {
        std::printf("  %-22s %s\n", what.c_str(), !found.empty() ? found.c_str() : otherwise.c_str());
        good &= !needed || !found.empty();
    };
    std::vector<std::string> objcopy{"llvm-objcopy"}, archiver{"llvm-ar"};
    for (int v = 21; v >= 14; --v) {
        objcopy.push_back("llvm-objcopy-" + std::to_string(v));
        archiver.push_back("llvm-ar-" + std::to_string(v));
    }
    std::printf("hconv %s, Halide %s, LLVM %s\n", tool_version().c_str(), halide_version().c_str(), llvm_version().c_str());
    line("this CPU", resolve_targets("host").front().text, "", true);
    line("C compiler", c_compiler_for("x86-64-linux"), "none: install gcc", true);
    line("llvm-objcopy", find_program(objcopy), "none: install llvm", true);
    line("llvm-ar", find_program(archiver), "none: install llvm", true);
    line("ARM cross compiler", find_program({"aarch64-linux-gnu-gcc"}), "none: install gcc-aarch64-linux-gnu (for arm-64-linux)", false);
    line("32-bit ARM compiler", find_program({"arm-linux-gnueabihf-gcc"}), "none: install gcc-arm-linux-gnueabihf (for arm-32-linux)", false);
    line("ARM emulator", find_program({"qemu-aarch64", "qemu-aarch64-static"}), "none: install qemu-user (to run arm-64-linux here)", false);
    line("ptxas", find_program({"ptxas", "/usr/local/cuda/bin/ptxas"}), "none: install the CUDA Toolkit (to assemble PTX)", false);
    std::error_code error;
    std::filesystem::create_directories(default_cache(), error);
    line("kernel cache", error ? "" : default_cache().string(), "cannot be written: " + default_cache().string(), true);
    std::printf(good ? "all that is needed is there\n" : "something that is needed is missing: see above\n");
    return good ? 0 : 1;
}

}  // namespace hconv
