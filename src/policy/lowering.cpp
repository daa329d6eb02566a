// SPDX-License-Identifier: Apache-2.0
#include "policy/lowering.h"

#include <algorithm>
#include <set>

#include "policy/cover.h"
#include "policy/match.h"

namespace xfilter::policy {
namespace {

using model::Action;

Treatment treatment_of(Action action) {
  return action == Action::drop ? Treatment::drop : Treatment::note;
}

// What the rule says of packets, in words: rules that say the same make one class.
std::string headers_of(const HeaderClass& of) {
  std::vector<std::string> words;
  for (const Match* match : of.matches) words.push_back(to_string(*match));
  std::sort(words.begin(), words.end());
  std::string text;
  for (const std::string& word : words) text += word + "\n";
  return text;
}

// Whether a packet that fits `rule` by its headers can end otherwise when it does not fit it by its
// owner. What comes later is looked at: `later` are the rules behind it that count.
bool can_end_otherwise(const Rule& rule, std::span<const Rule* const> later, Action by_default) {
  if (by_default != rule.action) return true;
  return std::any_of(later.begin(), later.end(), [&](const Rule* other) {
    return other->action != rule.action && !excludes_packets(rule, *other);
  });
}

}  // namespace

const char* to_string(Treatment treatment) {
  switch (treatment) {
    case Treatment::hold:
      return "hold";
    case Treatment::note:
      return "note";
    case Treatment::drop:
      return "drop";
  }
  return "?";
}

Plan lower(const Policy& policy) {
  std::vector<const Rule*> counting;  // observed rules change nothing
  for (const Rule& rule : policy.rules())
    if (!rule.is_observed) counting.push_back(&rule);

  Plan plan;
  plan.otherwise = treatment_of(policy.by_default().action);
  plan.by_default = &policy.by_default();
  std::set<std::string> seen;
  for (std::size_t i = 0; i < counting.size(); ++i) {
    const Rule& rule = *counting[i];
    const bool is_open = !rule.is_of_packets_alone() || rule.expires_after;
    if (is_open &&
        !can_end_otherwise(rule, std::span(counting).subspan(i + 1), policy.by_default().action))
      continue;
    HeaderClass made;
    made.treatment = is_open ? Treatment::hold : treatment_of(rule.action);
    made.because = &rule;
    for (const Match& match : rule.matches)
      if (!match.field->is_guest_side()) made.matches.push_back(&match);
    if (!seen.insert(headers_of(made)).second) continue;
    plan.classes.push_back(std::move(made));
  }
  return plan;
}

Treatment Plan::treatment_of(const Subject& subject) const {
  for (const HeaderClass& one : classes)
    if (std::all_of(one.matches.begin(), one.matches.end(),
                    [&](const Match* match) { return fits_packet(*match, subject); }))
      return one.treatment;
  return otherwise;
}

}  // namespace xfilter::policy
