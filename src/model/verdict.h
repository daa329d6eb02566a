// SPDX-License-Identifier: Apache-2.0
// model/verdict.h: what shall happen to a packet, and where the rule stands that says so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace xfilter::model {

enum class Action : std::uint8_t { pass, drop };
const char* to_string(Action action);

// Where a rule stands. `line` 0 is the built-in default of a policy that names none.
struct RulePlace {
  std::string file;
  int line = 0;
  std::string text;  // the rule as it was written, without its comment
};

}  // namespace xfilter::model
