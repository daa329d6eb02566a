// SPDX-License-Identifier: Apache-2.0
// tests/unit/policy/cases.h: "PACKET | OWNER => VERDICT", as tests/golden/policy/README.md has it.
#pragma once

#include <stdexcept>
#include <string>

#include "policy/asked.h"
#include "policy/policy.h"

namespace xfilter::policy {

struct Case {
  std::string facts, verdict;
};

inline Case read_case(const std::string& line) {
  const auto arrow = line.find(" => ");
  if (arrow == std::string::npos) throw std::runtime_error("a case without => : " + line);
  return {line.substr(0, arrow), line.substr(arrow + 4)};
}

inline Result<Asked> asked_of(const std::string& facts) {
  const auto bar = facts.find(" | ");
  if (bar == std::string::npos) return fail(Errc::input_invalid, "a case without |: {}", facts);
  return Asked::parse(facts.substr(0, bar), facts.substr(bar + 3));
}

inline std::string told(const Verdict& verdict) {
  std::string text =
      fmt::format("{} {}", model::to_string(verdict.action),
                  verdict.rule->place.file == "office.rules"
                      ? fmt::format("line {}", verdict.rule->place.line)
                      : fmt::format("{}:{}", verdict.rule->place.file, verdict.rule->place.line));
  for (const Rule* observed : verdict.observed)
    text +=
        fmt::format(", would {} line {}", model::to_string(observed->action), observed->place.line);
  return text;
}

}  // namespace xfilter::policy
