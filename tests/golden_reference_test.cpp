// golden_reference_test.cpp - the references reproduce what the original PyTorch modules computed.
// SPDX-License-Identifier: MIT
// Both sides work in double on the same floats. A stored output was rounded to float (2^-24 relative); values that one
// step hands to the next are rounded too, which a chain may amplify, and so are parameters that a recipe computes: 1e-6
// of max|y| covers those, 1e-9 is left to single steps on the case's own parameters.
#include "golden_cases.h"
#include "reference/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace {

using namespace hconv;

goldens::Tensors run_reference(const goldens::Step &step, const goldens::Tensors &tensors) {
    std::map<std::string, reference::View> views;
    for (const auto &[name, tensor] : tensors) views[name] = {tensor.data.data(), tensor.shape};
    goldens::Tensors made;
    for (const reference::Output &out : reference::compute(step.problem, views))
        made[out.name] = {out.shape, std::vector<float>(out.value.begin(), out.value.end())};
    return made;
}

// Greatest |a - b| in units of what is allowed.
double worst_ratio(const Tensor &got, const Tensor &want, double share) {
    double most = 0, worst = 0;
    for (float y : want.data) most = std::max(most, std::fabs(double(y)));
    for (size_t i = 0; i < want.data.size(); ++i) {
        double error = std::fabs(double(got.data[i]) - want.data[i]);
        // Both were rounded to float at the end.
        double allowed = 2 * 0x1p-24 * std::fabs(double(want.data[i])) + share * most;
        if (!(error <= worst * allowed)) worst = error / allowed;
    }
    return worst;
}

class GoldenReference : public ::testing::TestWithParam<int> {};

TEST_P(GoldenReference, EveryCase) {
    const char *folder = std::getenv("HCONV_GOLDENS");
    auto cases = goldens::read_cases(folder ? folder : "tests/goldens", hconv_layout(GetParam()));
    int run = 0;
    for (const goldens::Case &c : cases) {
        EXPECT_EQ(c.broken, "") << c.name;
        if (!c.broken.empty() || !c.skip.empty()) continue;
        ++run;
        goldens::Tensors made = goldens::run_case(c, run_reference);
        for (const auto &[name, want] : c.outputs) {
            ASSERT_EQ(made[name].shape, want.shape) << c.name;
            EXPECT_LE(worst_ratio(made[name], want, c.steps.size() > 1 || c.rounded ? 1e-6 : 1e-9), 1)
                << c.name << ", output " << name;
        }
    }
    if (!folder) {
        EXPECT_EQ(run, int(cases.size())) << "a case of the project's own folder was skipped";
    }
}

INSTANTIATE_TEST_SUITE_P(Layouts, GoldenReference, ::testing::Values(HCONV_NHWC, HCONV_NCHW));

} // namespace
