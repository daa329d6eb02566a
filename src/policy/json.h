// SPDX-License-Identifier: Apache-2.0
// policy/json.h: rules as JSON, for programs.
//
//   {"action": "drop", "observe": false, "log": false, "expires_s": 600,
//    "matches": [{"field": "dport", "not": false, "values": ["25", "465"]}]}
//
// `observe`, `log`, `not` and `expires_s` may be missing. A field without a value (tcp) has none.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "policy/explain.h"
#include "policy/lowering.h"
#include "policy/rule.h"

namespace xfilter::policy {

// {"verdict", "steps": [{"rule", "outcome", "missed_on", "found"}]}
nlohmann::ordered_json to_json(const std::vector<Step>& steps);
// {"classes": [{"packets", "treatment", "because"}], "otherwise", "default"}
nlohmann::ordered_json to_json(const Plan& plan);

// Also has `section`, `file`, `line` and `text`.
nlohmann::ordered_json to_json(const Rule& rule);

// The rule as a line of text, for parse() to judge. input_invalid names what has the wrong shape.
// Nothing in `json` can add words to the line: a value with a space in it is refused.
Result<std::string> text_of(const nlohmann::json& json);

}  // namespace xfilter::policy
