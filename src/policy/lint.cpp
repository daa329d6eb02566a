// SPDX-License-Identifier: Apache-2.0
#include "policy/lint.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/cover.h"
#include "policy/fields.h"

namespace xfilter::policy {
namespace {

Diagnostic warning_about(const Rule& rule, std::string message, std::string hint) {
  return {rule.place.file,
          rule.place.line,
          1,
          static_cast<int>(rule.place.text.size()),
          rule.place.text,
          std::move(message),
          std::move(hint),
          Severity::warning};
}

std::optional<Diagnostic> contradiction_in(const Rule& rule) {
  for (std::size_t i = 0; i < rule.matches.size(); ++i)
    for (std::size_t j = i + 1; j < rule.matches.size(); ++j)
      if (excludes(rule.matches[i], rule.matches[j]))
        return warning_about(
            rule,
            fmt::format("this rule can never match: nothing fits both `{}` and `{}`",
                        to_string(rule.matches[i]), to_string(rule.matches[j])),
            "all matches of a rule must hold; write a set for one or the other");
  return std::nullopt;
}

// The first rule before `at` that leaves nothing for it, by `covers`.
template <class Covers>
const Rule* find_cover(const std::vector<Rule>& rules, std::size_t at, Covers covers) {
  const std::size_t end = std::min(at, kMostCompared);
  for (std::size_t i = 0; i < end; ++i)
    if (!rules[i].is_observed && !rules[i].expires_after && covers(rules[i], rules[at]))
      return &rules[i];
  return nullptr;
}

std::string message_about_shadowed(const Rule& rule, const Rule& by) {
  if (rule.is_observed) return "this rule observes nothing: another decides first";
  if (by.section != rule.section)
    return fmt::format("this rule can never match: a {} rule comes first", to_string(by.section));
  if (by.action == rule.action) return "this rule changes nothing: another decides the same first";
  if (covers(rule, by)) return "this rule conflicts with another, which decides first";
  return "this rule can never match: a wider one decides otherwise before it";
}

std::optional<Diagnostic> shadow_on(const std::vector<Rule>& rules, std::size_t at) {
  const Rule& rule = rules[at];
  const auto hint = [](const Rule& by) {
    return fmt::format("{} before it: {}", place_of(by), by.place.text);
  };
  if (const Rule* by =
          find_cover(rules, at, [](const Rule& a, const Rule& b) { return covers(a, b); }))
    return warning_about(rule, message_about_shadowed(rule, *by), hint(*by));
  if (const Rule* by = find_cover(rules, at, covers_single_owners))
    return warning_about(rule,
                         "this rule matches only sockets that several processes hold: for one "
                         "process another decides first",
                         hint(*by));
  return std::nullopt;
}

}  // namespace

std::vector<Diagnostic> lint(const Policy& policy) {
  std::vector<Diagnostic> warnings;
  const auto& rules = policy.rules();
  for (std::size_t at = 0; at < rules.size(); ++at) {
    if (auto contradiction = contradiction_in(rules[at]))
      warnings.push_back(std::move(*contradiction));
    else if (auto shadow = shadow_on(rules, at))
      warnings.push_back(std::move(*shadow));
  }
  if (const Rule* rule = cuts_off(policy))
    warnings.push_back(warning_about(*rule,
                                     "this policy cuts the VM off: nothing it sends can pass",
                                     "put rules before it that allow something"));
  return warnings;
}

const Rule* cuts_off(const Policy& policy) {
  const bool is_allowed_something = std::any_of(
      policy.rules().begin(), policy.rules().end(),
      [](const Rule& rule) { return !rule.is_observed && rule.action == model::Action::pass; });
  const Rule& rest = policy.by_default();
  return rest.action == model::Action::drop && !is_allowed_something ? &rest : nullptr;
}

}  // namespace xfilter::policy
