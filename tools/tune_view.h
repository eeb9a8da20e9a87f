// tune_view.h - what a tuner shows while it works: lines that rewrite themselves on a terminal, plain lines elsewhere.
// SPDX-License-Identifier: MIT
#pragma once

#include "tools/tune.h"

namespace hconv {

class TuneView {
public:
    TuneView(size_t problems, size_t most_candidates);
    void begin(const Tuning &t);
    void doing(const std::string &what);                      // terminals only
    void batch(const Tuning &t, double seconds_left);         // after each batch
    void end(const Tuning &t);

private:
    void clear();
    const size_t problems, most;
    const bool terminal;
    size_t number = 0;
    int lines = 0;  // on the terminal now, to be rewritten
    std::string status;
};

// "1.23 times as fast as the default, 412.3 us, 78 % of the roofline"
std::string speed_text(const Tuning &t, const Record &r);

}  // namespace hconv
