// schedule.cpp - see schedule.h.
// SPDX-License-Identifier: MIT
#include "schedules/schedule.h"

#include "runtime/pack.h"

#include <algorithm>
#include <cstring>

namespace hconv {

Knob::Knob(ScheduleBase *owner, const char *knob_name, int v, std::vector<int> choices)
    : name(knob_name), value(v), values(std::move(choices)) {
    owner->knobs.push_back(this);
}

std::string ScheduleBase::text() const {
    std::string result = name;
    for (const Knob *k : knobs) result += (k == knobs.front() ? ":" : ",") + std::string(k->name) + "=" + std::to_string(k->value);
    return result;
}

void ScheduleBase::set_knobs(const std::string &list) {
    for (size_t at = 0; at < list.size();) {
        size_t end = std::min(list.find(',', at), list.size());
        std::string item = list.substr(at, end - at);
        size_t equals = item.find('=');
        auto knob = std::find_if(knobs.begin(), knobs.end(),
                                 [&](const Knob *k) { return equals != std::string::npos && item.compare(0, equals, k->name) == 0 &&
                                                             std::strlen(k->name) == equals; });
        char *rest = nullptr;
        long v = equals == std::string::npos ? 0 : std::strtol(item.c_str() + equals + 1, &rest, 10);
        if (knob == knobs.end() || !rest || *rest || rest == item.c_str() + equals + 1 || v < 0 || v > 1 << 20) {
            std::string known;
            for (const Knob *k : knobs) known += " " + std::string(k->name);
            throw std::invalid_argument("'" + item + "' sets no knob of schedule " + name + "; its knobs:" +
                                        (known.empty() ? " none" : known));
        }
        **knob = int(v);
        at = end + 1;
    }
}

std::string schedule_folder(const Halide::Target &t) {
    if (t.has_feature(Halide::Target::CUDA) || t.has_feature(Halide::Target::OpenCL)) return "cuda";
    return t.arch == Halide::Target::X86 ? "x86" : t.arch == Halide::Target::ARM ? "arm" : "other";
}

std::vector<ScheduleListing> &all_schedules() {
    static std::vector<ScheduleListing> list;
    return list;
}

std::pair<std::string, std::string> split_schedule(const std::string &text) {
    size_t colon = text.find(':');
    return colon == std::string::npos ? std::make_pair(text, std::string())
                                      : std::make_pair(text.substr(0, colon), text.substr(colon + 1));
}

// The default puts a parameter's first letter innermost ("oihw" -> "hwio", "eoihw" -> "ehwio" with o innermost): vectors run
// over outputs.
static std::string default_layout(const hconv_tensor &t) {
    std::string letters = t.letters, rest;
    size_t o = letters.find('o');
    if (o == std::string::npos || letters.size() < 2) return letters;
    letters.erase(o, 1);
    size_t i = letters.find('i');
    if (i != std::string::npos) letters.erase(i, 1), rest = "i";
    return letters + rest + "o";
}

std::vector<TensorArgument> kernel_arguments(const Problem &p, const ScheduleBase &s, const Machine &m) {
    std::vector<TensorArgument> result;
    auto activations = [&](int role) {
        for (const hconv_tensor &t : p.tensors()) {
            if (t.role != role) continue;
            std::string layout = s.layout(t, p, m);
            result.push_back({t, layout.empty() ? p.nchw() ? "nchw" : "nhwc" : layout});
            for (int i = 0; i < t.rank; ++i) result.back().tensor.extent[i] = hconv_activation_extent(result.back().layout.c_str(), &t, i);
        }
    };
    activations(HCONV_INPUT);
    for (const hconv_tensor &t : p.kernel_tensors()) {
        std::string layout = s.layout(t, p, m);
        result.push_back({t, layout.empty() ? default_layout(t) : layout});
    }
    activations(HCONV_OUTPUT);
    return result;
}

std::string schedule_name(const std::string &formulation, const std::string &name) {
    return formulation.empty() ? name : formulation + "/" + name;
}

std::string formulation_of(const std::string &text) {
    const std::string name = split_schedule(text).first;
    size_t slash = name.find('/');
    return slash == std::string::npos ? "" : name.substr(0, slash);
}

std::vector<Chooser> &choosers() {
    static std::vector<Chooser> list;
    return list;
}

Choice choose_for(const Problem &p, const Halide::Target &target, const std::string &text) {
    const std::string formulation = formulation_of(text);
    std::string known;
    Choice best;
    bool named = formulation.empty();
    for (const Chooser &c : choosers()) {
        if (c.family != p.family()) continue;
        if (!c.formulation.empty()) known += " " + c.formulation;
        if (!text.empty() && c.formulation != formulation) continue;
        named = true;
        Choice choice = c.choose(p, target, text);
        if (choice.schedule.empty()) continue;
        // The order of registration is the linker's: of equals the first formulation, whose generator is the variant's.
        if (best.schedule.empty() || choice.preference > best.preference ||
            (choice.preference == best.preference && choice.generator.empty()))
            best = std::move(choice);
    }
    if (!named)
        throw std::invalid_argument("'" + formulation + "' is no formulation of " + p.family() + "; there are:" +
                                    (known.empty() ? " none" : known));
    if (best.schedule.empty()) throw std::logic_error("no generator for family " + p.family());
    return best;
}

bool fits(const Problem &p, const Halide::Target &target, const std::string &text) {
    try {
        choose_for(p, target, text);
        return true;
    } catch (const std::invalid_argument &) {
        return false;
    }
}

}  // namespace hconv
