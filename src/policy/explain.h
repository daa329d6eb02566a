// SPDX-License-Identifier: Apache-2.0
// policy/explain.h: why a packet gets its verdict: each rule that was tried before the one that
// decides, and what it missed on.
//
// For people and tools; decide() is for packets. Threads: any. Lifetime: points into the policy.
// Cost: every rule is tried, and texts are made.
#pragma once

#include "policy/policy.h"

namespace xfilter::policy {

enum class Outcome : std::uint8_t { decides, observed, missed, expired };
const char* to_string(Outcome outcome);

struct Step {
  const Rule* rule = nullptr;
  Outcome outcome = Outcome::missed;
  std::string missed_on;  // the first match that does not hold: "uid 33"
  std::string found;      // and what there is instead: "uid is 1000"
};

// In the order of the search; the last step decides.
std::vector<Step> explain(const Policy& policy, const Subject& subject,
                          std::chrono::seconds now = {});

}  // namespace xfilter::policy
