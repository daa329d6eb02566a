// SPDX-License-Identifier: Apache-2.0
// policy/rule.h: one rule, as the parser makes it and everything else reads it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "model/owner.h"
#include "model/verdict.h"
#include "packet/parse.h"

namespace xfilter::policy {

struct Field;  // a row of fields.h

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
struct TcpFlagsMatch {
  std::uint8_t set = 0;       // these are set,
  std::uint8_t asked_of = 0;  // and of these no other
};

// One `field value` of a rule: fits if any of its values does (or none, with `not`).
struct Match {
  const Field* field = nullptr;
  bool is_negated = false;
  std::string values;  // as written: 25, or {25, 465}; empty for a field without a value
  // By the field's kind, one of these is filled.
  std::vector<Range> ranges;
  std::vector<Prefix> prefixes;
  std::vector<PidMatch> pids;
  std::vector<TcpFlagsMatch> flags;
  std::vector<std::string> globs;  // fnmatch(3) patterns
};
// As it stands in a rule: "not dport {25, 465}".
std::string to_string(const Match& match);

// What is asked about: a packet, the netdev it came from, and who sent it.
struct Subject {
  const packet::Packet& packet;
  const model::Owner& owner;
  std::string_view netdev = {};
};

// Sections are searched in this order.
enum class Section : std::uint8_t { protect, learned, operators };
const char* to_string(Section section);

struct Rule {
  Section section = Section::operators;
  model::Action action = model::Action::pass;
  bool is_observed = false;  // counts what it would do, and the search goes on
  bool is_logged = false;
  std::vector<Match> matches;
  std::optional<std::chrono::seconds> expires_after;  // since `loaded_at`
  std::chrono::seconds loaded_at{0};  // when it was first loaded, by a clock that does not jump
  model::RulePlace place;

  // Whether the packet alone decides if it fits.
  bool is_of_packets_alone() const;
  // `now` is by the clock of `loaded_at`.
  bool has_expired(std::chrono::seconds now) const {
    return expires_after && now - loaded_at >= *expires_after;
  }
};
// FILE:LINE; "built in" for a default that no file names.
std::string place_of(const Rule& rule);

}  // namespace xfilter::policy
