// problem_list.cpp - see problem_list.h.
// SPDX-License-Identifier: MIT
#include "tools/problem_list.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <stdexcept>

namespace hconv {

namespace {

void add_once(std::vector<Problem> &list, const Problem &p) {
    auto same = [&](const Problem &q) { return q.text() == p.text(); };
    if (std::none_of(list.begin(), list.end(), same)) list.push_back(p);
}

class Line {
public:
    explicit Line(const std::string &text) : text(text) {}

    ListedProblem read() {
        ListedProblem p;
        p.problem = Problem::parse(take([](char c) { return std::isalnum((unsigned char)c) || c == '_' || c == '?'; }));
        for (skip_blanks(); at < text.size(); skip_blanks()) {
            char mark = text[at++];
            if (mark == '@') read_sizes(p);
            else if (mark == ':') p.label = take([](char c) { return !std::isspace((unsigned char)c) && c != '*'; });
            else if (mark == '*') p.times = number("*");
            else
                throw std::invalid_argument("'" + text.substr(at - 1) +
                                            "' after the problem: expected @sizes, :label or *times");
        }
        if (p.sizes.empty()) p.sizes = p.problem.open() ? default_sizes(p.problem) : std::vector<Problem>{p.problem};
        return p;
    }

private:
    template <class Wanted> std::string take(Wanted wanted) {
        size_t start = at;
        while (at < text.size() && wanted(text[at])) ++at;
        return text.substr(start, at - start);
    }
    void skip_blanks() {
        take([](char c) { return std::isspace((unsigned char)c) != 0; });
    }
    int number(const std::string &before) {
        std::string digits = take([](char c) { return std::isdigit((unsigned char)c) != 0; });
        if (digits.empty() || digits.size() > 9 || std::stoi(digits) < 1)
            throw std::invalid_argument("'" + before + "' must be followed by a number from 1 on");
        return std::stoi(digits);
    }
    void read_sizes(ListedProblem &p) {
        if (!p.problem.open()) throw std::invalid_argument("@ gives sizes, but " + p.text() + " leaves none open");
        do {
            Sizes s;
            size_t start = at;
            while (at < text.size() && (text[at] == 'n' || text[at] == 'h' || text[at] == 'w')) {
                std::string key = text.substr(at++, 1);
                (key == "n" ? s.n : key == "h" ? s.h : s.w) = number(key);
            }
            if (at == start) throw std::invalid_argument("'@' must be followed by sizes such as h120w160");
            if (!s.n) s.n = 1;
            if (!s.h) s.h = s.w;
            if (!s.w) s.w = s.h;
            Problem sized = p.problem;
            std::string words = text.substr(start, at - start);
            if (!fill_open(sized, s))
                throw std::invalid_argument("@" + words + " does not make " + p.text() +
                                            " a problem with every size known");
            add_once(p.sizes, sized);
        } while (at < text.size() && text[at] == ',' && ++at);
    }
    const std::string text;
    size_t at = 0;
};

constexpr int kMostTimes = 1000000000;

void add_line(std::vector<ListedProblem> &list, const std::string &text) {
    ListedProblem p = Line(text).read();
    std::string name = p.text();
    auto found = std::find_if(list.begin(), list.end(), [&](const ListedProblem &q) { return q.text() == name; });
    if (found == list.end()) {
        list.push_back(p);
        return;
    }
    for (const Problem &sized : p.sizes) add_once(found->sizes, sized);
    if (found->times > kMostTimes - p.times)
        throw std::invalid_argument(name + " is listed more than " + std::to_string(kMostTimes) + " times in all");
    found->times += p.times;
}

void add_lines(std::vector<ListedProblem> &list, std::istream &lines, const std::string &path) {
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number) {
        line.resize(std::min(line.find('#'), line.size()));
        line.erase(0, line.find_first_not_of(" \t\r"));
        try {
            if (!line.empty()) add_line(list, line);
        } catch (const std::invalid_argument &e) {
            throw std::invalid_argument(path + ":" + std::to_string(number) + ": " + e.what());
        }
    }
}

void add_file(std::vector<ListedProblem> &list, const std::string &path) {
    std::ifstream file(path);
    if (!file) throw std::invalid_argument("the problem list " + path + " cannot be read");
    add_lines(list, file, path);
}

} // namespace

bool fill_open(Problem &p, const Sizes &s) {
    if (p.n == HCONV_OPEN) p.n = s.n;
    if (p.h == HCONV_OPEN) p.h = s.h;
    if (p.w == HCONV_OPEN) p.w = s.w;
    return hconv_problem_complete(&p, nullptr, 0) == HCONV_OK && !p.open();
}

std::string line_of(const ListedProblem &p) {
    std::string line = p.text(), mark = "@";
    for (const Problem &s : p.problem.open() ? p.sizes : std::vector<Problem>{}) {
        line += mark + "n" + std::to_string(s.n) + "h" + std::to_string(s.h) + "w" + std::to_string(s.w);
        mark = ",";
    }
    if (!p.label.empty()) line += ":" + p.label;
    return p.times > 1 ? line + "*" + std::to_string(p.times) : line;
}

std::vector<ListedProblem> read_problems(const std::vector<std::string> &arguments) {
    std::vector<ListedProblem> list;
    for (const std::string &argument : arguments) {
        if (!argument.empty() && argument[0] == '@') add_file(list, argument.substr(1));
        else add_line(list, argument);
    }
    return list;
}

std::vector<ListedProblem> read_problem_lines(std::istream &lines, const std::string &path) {
    std::vector<ListedProblem> list;
    add_lines(list, lines, path);
    return list;
}

std::vector<Problem> default_sizes(const Problem &open) {
    static const Sizes candidates[] = {{1, 1, 1}, {2, 1, 17}, {3, 3, 2}, {7, 8, 5}, {1, 33, 9}, {33, 19, 35}};
    std::vector<Problem> sizes;
    for (Sizes s : candidates) {
        Problem p = open;
        if (s.n == 33 && open.h == HCONV_OPEN) s.n = 2; // many samples of the largest map show nothing more
        if (fill_open(p, s)) add_once(sizes, p);
    }
    for (int size = 2; sizes.empty() && size < 4096; size *= 2) {
        Problem p = open;
        if (fill_open(p, {1, size, size})) sizes.push_back(p);
    }
    if (sizes.empty())
        throw std::invalid_argument(open.text() + ": no sizes up to 4096 fit; say some, for example @h120w160");
    return sizes;
}

std::vector<Problem> sweep_sizes(const Problem &open) {
    constexpr int kMost = 67; // a prime: w -> 29 w mod 67 meets every height
    std::vector<Problem> sizes;
    for (int w = 1; w <= kMost; ++w) {
        Problem p = open;
        bool map = open.h == HCONV_OPEN || open.w == HCONV_OPEN;
        if (fill_open(p, {map ? 1 + w % 2 : w, w * 29 % kMost + 1, w})) add_once(sizes, p);
    }
    return sizes;
}

} // namespace hconv
