// SPDX-License-Identifier: Apache-2.0
// policy/policy.h: the rules, ready to decide.
//
// Use decide() for every packet; explain.h says why, and is slow. Sections are searched in the
// order protect, learned, operator, default; in each the first rule that fits decides.
// docs/rules.md has the language, match.h what it means that a rule fits. Threads: decide() from
// any; a Policy never changes. Lifetime: a Verdict points to rules inside the policy. Cost: rules
// that name one process, program, user, container, address or port are found by hashing; the others
// are tried one by one. No system call; no allocation as long as no observed rule fits.
#pragma once

#include "policy/index.h"
#include "policy/rule.h"

namespace xfilter::policy {

// What an owner counts as whose processes are candidates, of which one sent the packet.
enum class AmbiguousAs : std::uint8_t {
  holders,  // as if all held the socket: a drop fits if any candidate does, an allow if all do
  nobody,   // as if nobody had been found
};

struct Verdict {
  model::Action action = model::Action::pass;
  const Rule* rule = nullptr;         // that decided; a default is a rule too
  std::vector<const Rule*> observed;  // that fitted before it and are only observed, in order
};

class Policy {
 public:
  struct Parts {
    std::vector<Rule> rules;  // in any order; sections are put in theirs
    Rule by_default;
    AmbiguousAs ambiguous_as = AmbiguousAs::holders;
  };
  explicit Policy(Parts parts);
  Policy() : Policy(Parts{{}, built_in_default("built-in"), AmbiguousAs::holders}) {}

  // `now` is by the clock of Rule::loaded_at: rules that expire do so by it.
  Verdict decide(const Subject& subject, std::chrono::seconds now = {}) const;
  // The same by trying every rule: the oracle of tests.
  Verdict decide_by_trying_all(const Subject& subject, std::chrono::seconds now = {}) const;

  // `owner`, or nobody when it is ambiguous and the policy wants it so.
  model::Owner owner_that_counts(const model::Owner& owner) const;

  const std::vector<Rule>& rules() const { return rules_; }  // as they are searched
  const Rule& by_default() const { return by_default_; }
  AmbiguousAs ambiguous_as() const { return ambiguous_as_; }

  // `allow`, of a file that names no default.
  static Rule built_in_default(std::string file);

 private:
  bool counts_as_nobody(const model::Owner& owner) const;
  template <class Search>
  Verdict with_owner_that_counts(const Subject& asked, Search search) const;

  std::vector<Rule> rules_;
  Rule by_default_;
  AmbiguousAs ambiguous_as_;
  Index index_;
};

}  // namespace xfilter::policy
