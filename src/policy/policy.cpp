// SPDX-License-Identifier: Apache-2.0
#include "policy/policy.h"

#include <algorithm>

#include "policy/match.h"

namespace xfilter::policy {
namespace {

std::vector<Rule> in_order(std::vector<Rule> rules) {
  std::stable_sort(rules.begin(), rules.end(),
                   [](const Rule& a, const Rule& b) { return a.section < b.section; });
  return rules;
}

// Whether the search ends at `rule`; an observed rule is noted, and it goes on.
bool decides(const Rule& rule, const Subject& subject, std::chrono::seconds now, Verdict& verdict) {
  if (rule.has_expired(now) || !fits(rule, subject)) return false;
  if (rule.is_observed) {
    verdict.observed.push_back(&rule);
    return false;
  }
  verdict.action = rule.action;
  verdict.rule = &rule;
  return true;
}

}  // namespace

Policy::Policy(Parts parts)
    : rules_(in_order(std::move(parts.rules))),
      by_default_(std::move(parts.by_default)),
      ambiguous_as_(parts.ambiguous_as),
      index_(rules_) {}

Rule Policy::built_in_default(std::string file) {
  Rule rule;
  rule.place = {std::move(file), 0, "default allow"};
  return rule;
}

bool Policy::counts_as_nobody(const model::Owner& owner) const {
  return ambiguous_as_ == AmbiguousAs::nobody && owner.confidence == model::Confidence::ambiguous;
}

model::Owner Policy::owner_that_counts(const model::Owner& owner) const {
  if (!counts_as_nobody(owner)) return owner;
  model::Owner nobody;
  nobody.confidence = owner.confidence;
  nobody.socket_uid = owner.socket_uid;
  return nobody;
}

// Calls search(subject); owners are copied for that only when they have to be.
template <class Search>
Verdict Policy::with_owner_that_counts(const Subject& asked, Search search) const {
  if (!counts_as_nobody(asked.owner)) return search(asked);
  const model::Owner owner = owner_that_counts(asked.owner);
  return search(Subject{asked.packet, owner, asked.netdev});
}

Verdict Policy::decide(const Subject& asked, std::chrono::seconds now) const {
  return with_owner_that_counts(asked, [&](const Subject& subject) {
    Verdict verdict{by_default_.action, &by_default_, {}};
    Index::Candidates candidates(index_, subject);
    while (const auto at = candidates.next())
      if (decides(rules_[*at], subject, now, verdict)) break;
    return verdict;
  });
}

Verdict Policy::decide_by_trying_all(const Subject& asked, std::chrono::seconds now) const {
  return with_owner_that_counts(asked, [&](const Subject& subject) {
    Verdict verdict{by_default_.action, &by_default_, {}};
    for (const Rule& rule : rules_)
      if (decides(rule, subject, now, verdict)) break;
    return verdict;
  });
}

}  // namespace xfilter::policy
