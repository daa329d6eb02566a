// SPDX-License-Identifier: Apache-2.0
// policy/policy.h: the rules, ready to decide.
//
// Use decide() for every packet. Facts that could not be found out are a value too (an unknown
// owner), and rules can match it. Owners are sets: a `drop` rule matches if any holder fits all of
// its guest-side matches, an `allow` rule only if all holders do. An owner without a process fits
// nothing but `unattributed`, and `uid` and `user` by the socket's own uid. docs/rules.md has the
// language. Threads:  decide() from any; a Policy never changes. Lifetime: a Verdict points to the
// rule that decided, inside the policy. Cost:     no allocation, no system call; linear in the
// rules.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "model/owner.h"
#include "model/verdict.h"
#include "packet/parse.h"

namespace xfilter::policy {

struct Range {
  std::uint32_t first = 0, last = 0;  // inclusive
};
struct Prefix {
  packet::IpAddress address;
  int length = 0;
};
struct PidMatch {
  std::int32_t pid = 0;
  std::optional<std::chrono::nanoseconds> start;  // start_boottime, known to `precision`
  std::chrono::nanoseconds precision{1};
};

enum class Field { protocol, src, dst, sport, dport, uid, pid, exe, comm, unattributed };
bool is_guest_side(Field field);

// One `field value` of a rule: fits if any of its values does (or none, with `not`).
struct Match {
  Field field = Field::protocol;
  bool is_negated = false;
  std::vector<Range> ranges;     // protocol, ports, uids
  std::vector<Prefix> prefixes;  // addresses
  std::vector<PidMatch> pids;
  std::vector<std::string> globs;  // exe, comm: fnmatch(3) patterns; in exe, * does not match '/'
};

struct Rule {
  model::Action action = model::Action::pass;
  std::vector<Match> matches;
  model::RulePlace place;
};

class Policy {
 public:
  Policy() = default;
  Policy(std::vector<Rule> rules, model::Action default_action, model::RulePlace default_place)
      : rules_(std::move(rules)),
        default_action_(default_action),
        default_place_(std::move(default_place)) {}

  // The first rule that matches decides; otherwise the default.
  model::Verdict decide(const packet::Packet& packet, const model::Owner& owner) const;

  const std::vector<Rule>& rules() const { return rules_; }

 private:
  std::vector<Rule> rules_;
  model::Action default_action_ = model::Action::pass;
  model::RulePlace default_place_{"built-in", 0, "default allow"};
};

}  // namespace xfilter::policy
