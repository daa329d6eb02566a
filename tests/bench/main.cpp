// SPDX-License-Identifier: Apache-2.0
// xfilter_bench PART [IMAGE...]: prints a part of docs/reports.md's bench report, but for the host.
// lab/bench.py shows it to people.
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "measure.h"

int main(int argc, char** argv) {
  const std::string part = argc > 1 ? argv[1] : "";
  if (part == "attribution")
    fmt::print("{}\n", xfilter::bench::measure_attribution({argv + 2, argv + argc}).dump());
  else if (part == "ebpf")
    fmt::print("{}\n", xfilter::bench::measure_ebpf().dump());
  else if (part == "punt")
    fmt::print("{}\n", xfilter::bench::measure_punt().dump());
  else if (part == "policy")
    fmt::print("{}\n", xfilter::bench::measure_policy().dump());
  else if (part == "count" && argc == 3)
    fmt::print("{}\n", xfilter::bench::decide_once_for_counting(std::atoi(argv[2])));
  else
    return 2;
  return 0;
}
