// schedule.h - what a schedule is, its knobs, the registry, and the lookup: the one header of schedules/ that generators see.
// SPDX-License-Identifier: MIT
// A schedule is text: [formulation "/"] name [":" knob=value {"," knob=value}]. Problem, target and that text determine the
// code. A formulation is another way to write a family's sum: a generator of its own beside the first, with its own stages.
#pragma once

#include "generators/problem.h"
#include "schedules/machine.h"

#include <Halide.h>

#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace hconv {

// The formulation that stages belong to: Stages::formulation; fits(problem) says where it may be used and needs says the
// same in words; layout is what generic packs. Stages that name none are their family's first.
template<typename Stages, typename = void>
struct FormulationOf {
    static constexpr const char *name = "", *needs = "";
    static bool fits(const Problem &) { return true; }
    static std::string layout(const hconv_tensor &) { return ""; }
};
template<typename Stages>
struct FormulationOf<Stages, std::void_t<decltype(Stages::formulation)>> {
    static constexpr const char *name = Stages::formulation, *needs = Stages::needs;
    static bool fits(const Problem &p) { return Stages::fits(p); }
    static std::string layout(const hconv_tensor &t) { return Stages::layout(t); }
};

// "tiles" of the formulation "winograd" is the schedule "winograd/tiles".
std::string schedule_name(const std::string &formulation, const std::string &name);

class ScheduleBase;

// One tunable integer of a schedule; registers itself with its owner.
class Knob {
public:
    Knob(ScheduleBase *owner, const char *name, int value, std::vector<int> values);
    operator int() const { return value; }
    Knob &operator=(int v) { value = v; return *this; }
    const char *const name;
    int value;
    const std::vector<int> values;  // what the tuner may try
};

class ScheduleBase {
public:
    virtual ~ScheduleBase() = default;
    // Knob values for a problem, from the machine's numbers.
    virtual void defaults(const Problem &, const Machine &) {}
    // May this schedule, with these knobs, compile this problem?
    virtual bool feasible(const Problem &, const Machine &) const { return true; }
    // Of feasible knobs: may they be the best ones? The tuner tries no others.
    virtual bool promising(const Problem &, const Machine &) const { return true; }
    // Among feasible schedules of all formulations the highest wins; asked after defaults().
    virtual int preference(const Problem &) const { return 1; }
    // Layout of a kernel parameter in the blob; empty = the default (first letter innermost: "hwio" for "oihw").
    virtual std::string layout(const hconv_tensor &, const Problem &, const Machine &) const { return ""; }
    // Least output sizes that apply() assumes where h, w are open.
    virtual int min_h() const { return 1; }
    virtual int min_w() const { return 1; }
    // Shall lines of the output, and of what is added to it, be fetched while a tile is summed?
    virtual bool fetches_ahead(const Problem &, const Machine &) const { return false; }
    // Numbers of a chunk of the weights, if these are packed chunk by chunk and the next one shall be fetched; else 0.
    virtual int weights_ahead(const Problem &, const Machine &) const { return 0; }

    std::string name;
    std::vector<Knob *> knobs;
    std::string text() const;
    void set_knobs(const std::string &list);  // "a=1,b=2"; throws with a sentence
};

template<typename Stages>
class Schedule : public ScheduleBase {
public:
    // Asks for another form of the sum, where the stages offer one: before the algorithm fills them.
    virtual void formulate(Stages &) const {}
    virtual void apply(Stages &, const Problem &, const Halide::Target &) const = 0;
};

// "x86", "arm", "cuda": the folder of a target's schedules.
std::string schedule_folder(const Halide::Target &target);

struct ScheduleListing {
    std::string stages, folder, name;
    std::function<std::unique_ptr<ScheduleBase>()> make;
};
std::vector<ScheduleListing> &all_schedules();  // for hconv list

template<typename Stages>
class Registry {
public:
    struct Entry {
        std::string folder, name;
        std::function<std::unique_ptr<Schedule<Stages>>()> make;
    };
    static std::vector<Entry> &entries() {
        static std::vector<Entry> list;
        return list;
    }
    // folders: "x86", or several that share the loops: "x86 arm".
    template<typename S>
    static bool add(const char *folders, const char *plain) {
        const std::string name = schedule_name(FormulationOf<Stages>::name, plain);
        auto make = [name] {
            auto s = std::make_unique<S>();
            s->name = name;
            return s;
        };
        std::istringstream words(folders);
        for (std::string folder; words >> folder;) {
            entries().push_back({folder, name, make});
            all_schedules().push_back({Stages::family, folder, name, make});
        }
        return true;
    }
};

// What was chosen and why, for show --why, the kernel table and the packing.
struct Choice {
    std::string schedule, rule;
    std::string generator;  // of the formulation; empty: the variant's own
    int preference = 0;
    std::vector<TensorArgument> arguments;
    int min_h = 1, min_w = 1;
    bool fetches_ahead = false;
    int chunk = 0;  // weights_ahead
};

std::vector<TensorArgument> kernel_arguments(const Problem &p, const ScheduleBase &s, const Machine &m);

// The schedule text's part before ':' and the part behind it.
std::pair<std::string, std::string> split_schedule(const std::string &text);
// The formulation that a schedule text names; empty: the first.
std::string formulation_of(const std::string &text);

template<typename Stages>
std::unique_ptr<Schedule<Stages>> make_generic();  // schedules/generic.h

// Lookup: the explicit text, else the feasible schedule of this target with the highest preference, else generic; nothing
// where the stages' formulation does not fit.
template<typename Stages>
std::unique_ptr<Schedule<Stages>> choose(const Problem &p, const Halide::Target &target, const std::string &text,
                                         std::string *rule = nullptr) {
    const std::string folder = schedule_folder(target);
    const Machine machine = Machine::of(target);
    std::string ignored;
    std::string &why = rule ? *rule : ignored;
    const std::string generic = schedule_name(FormulationOf<Stages>::name, "generic");
    const bool fits = FormulationOf<Stages>::fits(p);
    if (!text.empty()) {
        auto [name, knobs] = split_schedule(text);
        std::unique_ptr<Schedule<Stages>> found;
        std::string known = generic;
        if (name == generic) found = make_generic<Stages>();
        for (const auto &e : Registry<Stages>::entries()) {
            if (e.folder != folder) continue;
            known += ", " + e.name;
            if (e.name == name) found = e.make();
        }
        if (!found) throw std::invalid_argument("'" + name + "' is no schedule of " + p.family() + " for " + folder +
                                                "; there are: " + known);
        if (!fits) throw std::invalid_argument("schedule " + name + " needs " + FormulationOf<Stages>::needs + ": " + p.text() +
                                               " is another problem");
        found->defaults(p, machine);
        found->set_knobs(knobs);
        if (!found->feasible(p, machine))
            throw std::invalid_argument("schedule " + found->text() + " does not fit " + p.text() + " on this target");
        why = "the schedule was given";
        return found;
    }
    if (!fits) return nullptr;
    std::unique_ptr<Schedule<Stages>> best;
    for (const auto &e : Registry<Stages>::entries()) {
        if (e.folder != folder) continue;
        auto candidate = e.make();
        candidate->defaults(p, machine);
        if (candidate->feasible(p, machine) && (!best || candidate->preference(p) > best->preference(p)))
            best = std::move(candidate);
    }
    why = best ? "the target's default for this problem" : "no schedule of this target fits: generic, which fits everything";
    return best ? std::move(best) : make_generic<Stages>();
}

// The choice with stages' type erased: one entry a formulation, set by HCONV_FAMILY and HCONV_FORMULATION. A choice without
// a schedule: the formulation does not fit.
using ChooseFunction = std::function<Choice(const Problem &, const Halide::Target &, const std::string &)>;
struct Chooser {
    std::string family, formulation;
    ChooseFunction choose;
};
std::vector<Chooser> &choosers();
// Of the formulation that the text names; without a text, of the one whose schedule has the highest preference.
Choice choose_for(const Problem &p, const Halide::Target &target, const std::string &text);
// Is there such a schedule, and does it fit?
bool fits(const Problem &p, const Halide::Target &target, const std::string &text);

template<typename Stages>
bool add_chooser(const char *generator) {
    choosers().push_back({Stages::family, FormulationOf<Stages>::name,
                          [generator](const Problem &p, const Halide::Target &t, const std::string &text) {
                              Choice c;
                              auto s = choose<Stages>(p, t, text, &c.rule);
                              if (!s) return c;
                              c.generator = generator, c.preference = s->preference(p);
                              c.schedule = s->text();
                              c.arguments = kernel_arguments(p, *s, Machine::of(t));
                              c.min_h = s->min_h(), c.min_w = s->min_w();
                              c.fetches_ahead = s->fetches_ahead(p, Machine::of(t));
                              c.chunk = s->weights_ahead(p, Machine::of(t));
                              return c;
                          }});
    return true;
}

}  // namespace hconv

#define HCONV_SCHEDULE(stages, folder, name, type) \
    static const bool hconv_registered_##name = hconv::Registry<stages>::add<type>(folder, #name);
