// records_test.cpp - records as lines: what is written is read, and nothing else is.
// SPDX-License-Identifier: MIT
#include "tools/records.h"

#include <gtest/gtest.h>

namespace hconv {
namespace {

Record a_record() {
    Record r;
    r.problem = "conv2d_ci8_h8_co16_k3_p1", r.target = "x86-64-linux-sse41", r.machine = "some-cpu/2", r.schedule = "direct:xs=6";
    r.status = "ok", r.gain = 1.25, r.hash = "0123456789abcdef", r.tool = "t", r.halide = "21.0.0", r.date = "2026-11-22";
    r.times = {{"", 1, 1000.5, 990.5, 45, 12.5}, {"", 2, 600.5, 590, 45, 20}};
    return r;
}

TEST(Records, WhatIsWrittenIsRead) {
    Record back, failed = a_record();
    std::string why;
    ASSERT_TRUE(read_record_line(record_line(a_record()), &back, &why)) << why;
    EXPECT_EQ(record_line(back), record_line(a_record()));
    EXPECT_EQ(back.setting(), "1 2");
    EXPECT_NEAR(back.cost(), 775.1, 0.1);
    failed.status = "crash", failed.why = "killed by signal 11: \"quoted\"\n", failed.times.clear(), failed.hash.clear();
    ASSERT_TRUE(read_record_line(record_line(failed), &back, &why)) << why;
    EXPECT_EQ(back.why, failed.why);
}

TEST(Records, NoFlippedBitIsAccepted) {
    const std::string line = record_line(a_record());
    for (size_t at = 0; at < line.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            std::string flipped = line, why;
            Record r;
            flipped[at] = char(flipped[at] ^ 1 << bit);
            EXPECT_FALSE(read_record_line(flipped, &r, &why)) << flipped;
            EXPECT_FALSE(why.empty());
        }
}

TEST(Records, NoPartIsAccepted) {
    const std::string line = record_line(a_record());
    for (size_t length = 0; length < line.size(); ++length) {
        Record r;
        std::string why;
        EXPECT_FALSE(read_record_line(line.substr(0, length), &r, &why));
    }
}

TEST(Records, OneWinnerAProblemTargetAndMachine) {
    std::vector<Record> all(4, a_record());
    all[1].gain = 1.5, all[2].machine = "another/4", all[3].status = "wrong";
    const std::vector<Record> best = winners(all);
    ASSERT_EQ(best.size(), 2u);
    EXPECT_EQ(best[0].machine, "another/4");
    EXPECT_EQ(best[1].gain, 1.5);
}

TEST(Records, DamagedLinesAreReportedAndTheOthersRead) {
    const std::string line = record_line(a_record());
    std::vector<std::string> said;
    const auto read = read_record_lines(line + "\nnonsense\n\n" + line.substr(1) + "\n" + line, "file", [&](const std::string &s) { said.push_back(s); });
    EXPECT_EQ(read.size(), 2u);
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[0].substr(0, 7), "file:2:");
}

TEST(Records, TheMachineHasAName) {
    EXPECT_NE(machine_name().find('/'), std::string::npos);
    EXPECT_EQ(machine_name().find(' '), std::string::npos);
    EXPECT_EQ(today().size(), 10u);
}

}  // namespace
}  // namespace hconv
