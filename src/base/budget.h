// SPDX-License-Identifier: Apache-2.0
// base/budget.h: how much work one look-up may cost.
//
// Every loop whose length a guest decides takes a Budget and spends a step a turn. A guest that
// builds a list without an end gets an error (Errc::budget_exhausted), not our time.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace xfilter {

class Budget {
 public:
  explicit Budget(std::uint64_t steps) : left_(steps), given_(steps) {}

  // `what` names the walk in the error.
  [[nodiscard]] Result<void> spend(const char* what, std::uint64_t steps = 1) {
    if (left_ < steps)
      return fail(Errc::budget_exhausted, "{}: no end after {} steps", what, given_);
    left_ -= steps;
    return {};
  }
  std::uint64_t left() const { return left_; }
  std::uint64_t spent() const { return given_ - left_; }

 private:
  std::uint64_t left_;
  std::uint64_t given_;
};

}  // namespace xfilter
