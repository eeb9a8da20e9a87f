// generator.h - the whole coupling between what and how: a problem comes in, the variant's algorithm fills its stages, and
// schedules/ is asked for the how.
// SPDX-License-Identifier: MIT
#pragma once

#include "generators/problem.h"
#include "generators/tensors.h"
#include "schedules/generic.h"

namespace hconv {

// Self: void algorithm(const Problem &, const Tensors &, Stages &) fills stages.outputs() (in tensor order).
template<typename Self, typename Stages>
class ConvGenerator : public Halide::Generator<Self> {
public:
    Halide::GeneratorParam<std::string> problem{"problem", ""};             // the what
    Halide::GeneratorParam<std::string> schedule_text{"schedule_text", ""};  // the how; empty = look it up

    void configure() {
        p = Problem::parse(problem);
        how = choose<Stages>(p, this->get_target(), schedule_text);
        for (const TensorArgument &a : kernel_arguments(p, *how, Machine::of(this->get_target()))) {
            if (a.tensor.role == HCONV_OUTPUT) {
                auto *out = this->template add_output<Halide::Buffer<>>(a.identifier(), Halide::Float(32), a.rank());
                outputs.push_back(out);
                tensors.add(a.name(), {a, nullptr, [out](int d) { return out->dim(d); }});
            } else {
                auto *in = this->template add_input<Halide::Buffer<>>(a.identifier(), Halide::Float(32), a.rank());
                tensors.add(a.name(), {a, [in](const std::vector<Halide::Expr> &i) { return Halide::Expr((*in)(i)); },
                                       [in](int d) { return in->dim(d); }});
            }
        }
    }

    void generate() {
        how->formulate(stages);
        static_cast<Self *>(this)->algorithm(p.as_map(), tensors, stages);
        for (size_t i = 0; i < outputs.size(); ++i) *outputs[i] = stages.outputs().at(i);
        tensors.declare_shapes();
    }

    void schedule() { how->apply(stages, p.as_map(), this->get_target()); }

private:
    Problem p{};
    std::unique_ptr<Schedule<Stages>> how;
    Tensors tensors;
    Stages stages;
    std::vector<Halide::GeneratorOutput<Halide::Buffer<>> *> outputs;
};

}  // namespace hconv

// Registers a generator under a variant's name; HCONV_FAMILY, once a family, registers the choice of its schedules.
#define HCONV_GENERATOR(type, variant) HALIDE_REGISTER_GENERATOR(type, variant)
#define HCONV_FAMILY(stages) static const bool hconv_family_registered = hconv::add_chooser<stages>("");
// Another formulation of the stages' family: a generator under a name of its own, and the choice of its schedules.
#define HCONV_FORMULATION(type, stages, generator) \
    static const bool hconv_##generator##_registered = hconv::add_chooser<stages>(#generator); \
    HALIDE_REGISTER_GENERATOR(type, generator)
