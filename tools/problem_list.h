// problem_list.h - problems as people list them: one a line, '#' begins a comment.
// SPDX-License-Identifier: MIT
// line = problem [ "@" sizes { "," sizes } ] [ ":" label ] [ "*" times ]     sizes = n2h120w160, h or w alone: for both
// Sizes are those at which an open problem is checked, timed and tuned. Blanks may stand before "@", ":" and "*".
#pragma once

#include "generators/problem.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace hconv {

struct ListedProblem {
    Problem problem;
    std::vector<Problem> sizes; // every size known; problem itself where nothing is open
    std::string label;
    int times = 1;
    std::string text() const { return problem.text(); }
};

struct Sizes {
    int n = 0, h = 0, w = 0;
};
// The open sizes of p filled in; false where the result is no problem (a window larger than its input).
bool fill_open(Problem &p, const Sizes &sizes);
// The line that read_problems turns into the same problem, sizes, label and times.
std::string line_of(const ListedProblem &p);

// Each argument is a line, or "@FILE", a list of lines. A problem met again adds its sizes and times to the first.
// Throws std::invalid_argument with a sentence that names the file and line.
std::vector<ListedProblem> read_problems(const std::vector<std::string> &arguments);
// The lines of a list; path names it in sentences.
std::vector<ListedProblem> read_problem_lines(std::istream &lines, const std::string &path);
// Sizes for an open problem that none were given for: from the least it allows to some that no tile divides.
std::vector<Problem> default_sizes(const Problem &open);
// Every height, width and (of what has neither) n from 1 to 67 once, as far as the problem allows.
std::vector<Problem> sweep_sizes(const Problem &open);

} // namespace hconv
