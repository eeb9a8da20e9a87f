// SPDX-License-Identifier: MIT
#include "hconv/hconv.h"
#include <gtest/gtest.h>
TEST(Parser, Runs) { hconv_problem p; EXPECT_EQ(hconv_problem_parse("conv2d_ci3_h8_co4_k3", &p, nullptr, 0), HCONV_OK); }
