// unscheduled.h - a process that hands its stages to one of Halide's autoschedulers: generic leaves them as they are.
// SPDX-License-Identifier: MIT
#pragma once

namespace hconv {

extern bool leave_unscheduled;  // false, until a process that compiles one such kernel says so

}  // namespace hconv
