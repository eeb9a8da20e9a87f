// problem_list_test.cpp - lines of problem lists: sizes, labels, times, and what is refused.
// SPDX-License-Identifier: MIT
#include "tools/problem_list.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <stdexcept>

namespace {

using hconv::ListedProblem;
using hconv::Problem;
using hconv::read_problems;

std::vector<std::string> texts(const std::vector<Problem> &problems) {
    std::vector<std::string> all;
    for (const Problem &p : problems) all.push_back(p.text());
    return all;
}

std::string refusal(const std::string &line) {
    try {
        read_problems({line});
    } catch (const std::invalid_argument &e) {
        return e.what();
    }
    return "";
}

TEST(ProblemList, ALineHasSizesLabelAndTimes) {
    ListedProblem p = read_problems({"conv2d_n?_ci3_h?_w?_co8_k3_p1 @h12w16,n2h5,n3h4w1 :stem *2"}).at(0);
    std::vector<std::string> want{"conv2d_ci3_h12_w16_co8_k3_p1", "conv2d_n2_ci3_h5_co8_k3_p1",
                                  "conv2d_n3_ci3_h4_w1_co8_k3_p1"};
    EXPECT_EQ(texts(p.sizes), want);
    EXPECT_EQ(p.label, "stem");
    EXPECT_EQ(p.times, 2);
    ListedProblem tight = read_problems({"linear_n?_ci4_co2@n7:head*3"}).at(0);
    EXPECT_EQ(texts(tight.sizes), std::vector<std::string>{"linear_n7_ci4_co2"});
    EXPECT_EQ(tight.label + std::to_string(tight.times), "head3");
}

TEST(ProblemList, AProblemMetAgainAddsItsSizesAndTimes) {
    auto list = read_problems({"linear_n?_ci4_co2@n7*2", "linear_ci4_co2", "linear_n?_ci4_co2_f32@n7,n8"});
    ASSERT_EQ(list.size(), 2u);
    EXPECT_EQ(list[0].sizes.size(), 2u);
    EXPECT_EQ(list[0].times, 3);
}

TEST(ProblemList, AFileHasCommentsAndItsLinesAreNamed) {
    std::string path = testing::TempDir() + "problem_list_test.txt";
    std::ofstream(path) << "# two layers\n\n  conv2d_ci3_h8_co4_k3 # first\r\n\tlinear_ci4_co2\nconv2d_ci3_h2_co4_k3\n";
    EXPECT_NE(refusal("@" + path).find(path + ":5: "), std::string::npos) << refusal("@" + path);
    std::ofstream(path) << "conv2d_ci3_h8_co4_k3  # the first\n\n#\nlinear_ci4_co2 *2\n";
    EXPECT_EQ(read_problems({"@" + path}).size(), 2u);
    std::remove(path.c_str());
    EXPECT_NE(refusal("@" + path).find("cannot be read"), std::string::npos);
}

TEST(ProblemList, WhatIsRefused) {
    EXPECT_NE(refusal("conv2d_ci3_h8_co4_k3 @h4").find("leaves none open"), std::string::npos);
    EXPECT_NE(refusal("conv2d_ci3_h?_co4_k3 @h2").find("@h2 does not make"), std::string::npos);
    EXPECT_NE(refusal("conv2d_ci3_h?_co4_k3 @").find("must be followed by sizes"), std::string::npos);
    EXPECT_NE(refusal("conv2d_ci3_h?_co4_k3 @h0").find("from 1 on"), std::string::npos);
    EXPECT_NE(refusal("conv2d_ci3_h8_co4_k3 *0").find("from 1 on"), std::string::npos);
    EXPECT_NE(refusal("conv2d_ci3_h8_co4_k3 x2").find("expected @sizes"), std::string::npos);
    EXPECT_NE(refusal("").find(": "), std::string::npos);
}

TEST(ProblemList, TimesThatAddUpToTooManyAreRefused) {
    EXPECT_EQ(read_problems({"linear_ci4_co2*999999999", "linear_ci4_co2"}).at(0).times, 1000000000);
    EXPECT_THROW(read_problems({"linear_ci4_co2*999999999", "linear_ci4_co2*2"}), std::invalid_argument);
}

TEST(ProblemList, DefaultSizesBeginAtTheLeast) {
    for (const char *text : {"conv2d_n?_ci3_h?_w?_co8_k3_p1", "conv2d_ci3_h?_w?_co8_k7", "linear_n?_ci4_co2"}) {
        Problem open = Problem::parse(text);
        for (const auto &sizes : {hconv::default_sizes(open), hconv::sweep_sizes(open)}) {
            std::set<std::string> different;
            ASSERT_FALSE(sizes.empty()) << text;
            for (const Problem &p : sizes) EXPECT_TRUE(!p.open() && different.insert(p.text()).second) << p.text();
        }
    }
    Problem padded = Problem::parse("conv2d_n?_ci3_h?_w?_co8_k3_p1");
    EXPECT_EQ(hconv::default_sizes(padded)[0].text(), "conv2d_ci3_h1_co8_k3_p1");
    EXPECT_EQ(hconv::sweep_sizes(padded).size(), 67u);
}

} // namespace
