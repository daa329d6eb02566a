// SPDX-License-Identifier: Apache-2.0
// tests/bench/measure.h: times and their percentiles.
#pragma once

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

namespace xfilter::bench {

class Times {
 public:
  template <class Work>
  void measure(Work work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    add(std::chrono::steady_clock::now() - began);
  }
  void add(std::chrono::nanoseconds time) {
    times_.push_back(static_cast<double>(time.count()) / 1000.0);
  }
  double percentile_us(double part) {
    std::sort(times_.begin(), times_.end());
    const auto at = static_cast<std::size_t>(part * static_cast<double>(times_.size() - 1));
    return static_cast<double>(static_cast<long>(times_.at(at) * 100)) / 100.0;
  }
  std::size_t count() const { return times_.size(); }

 private:
  std::vector<double> times_;
};

nlohmann::json measure_attribution(const std::vector<std::string>& images);
nlohmann::json measure_ebpf();
nlohmann::json measure_punt();
nlohmann::json measure_policy();
// Verdicts once, for a tool that counts the instructions of decide_many(); how many they were.
int decide_once_for_counting(int rules);

}  // namespace xfilter::bench
