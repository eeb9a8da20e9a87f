// autoschedule.h - the schedule "auto:Adams2019" (or Li2018, Mullapudi2016): what Halide's own autoschedulers make of a
// problem's sum. For comparisons: nothing chooses it, and no record names it.
// SPDX-License-Identifier: MIT
#pragma once

#include "schedules/schedule.h"
#include "schedules/unscheduled.h"

namespace hconv {

std::string autoscheduler_of(const std::string &schedule);  // the name behind "auto:"; else empty

// choose_for, which takes such a text too: then the arguments are those of generic.
Choice choose_kernel(const Problem &p, const Halide::Target &target, const std::string &schedule);

// The pipeline's stages must be unscheduled and every size known. parameters: of the inputs, in the order of choice.arguments.
void autoschedule(Halide::Pipeline &pipeline, const std::vector<Halide::Parameter> &parameters, const Choice &choice, const Halide::Target &target,
                  const std::string &name);

}  // namespace hconv
