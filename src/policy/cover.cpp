// SPDX-License-Identifier: Apache-2.0
#include "policy/cover.h"

#include <algorithm>

#include "policy/match.h"

namespace xfilter::policy {
namespace {

bool contains(const Range& wide, const Range& narrow) {
  return wide.first <= narrow.first && narrow.last <= wide.last;
}
bool overlap(const Range& a, const Range& b) {
  return a.first <= b.last && b.first <= a.last;
}

bool contains(const Prefix& wide, const Prefix& narrow) {
  if (wide.address.family != narrow.address.family || wide.length > narrow.length) return false;
  for (int bit = 0; bit < wide.length; ++bit) {
    const auto byte = static_cast<std::size_t>(bit / 8);
    const unsigned mask = 0x80u >> (bit % 8);
    if (((wide.address.bytes[byte] ^ narrow.address.bytes[byte]) & mask) != 0) return false;
  }
  return true;
}
bool overlap(const Prefix& a, const Prefix& b) {
  return contains(a, b) || contains(b, a);
}

bool contains(const PidMatch& wide, const PidMatch& narrow) {
  if (wide.pid != narrow.pid) return false;
  return !wide.start ||
         (narrow.start && *wide.start == *narrow.start && wide.precision >= narrow.precision);
}
bool overlap(const PidMatch& a, const PidMatch& b) {
  return a.pid == b.pid;
}

bool contains(const TcpFlagsMatch& wide, const TcpFlagsMatch& narrow) {
  return (wide.asked_of & ~narrow.asked_of) == 0 && (narrow.set & wide.asked_of) == wide.set;
}
bool overlap(const TcpFlagsMatch& a, const TcpFlagsMatch& b) {
  return ((a.set ^ b.set) & a.asked_of & b.asked_of) == 0;
}

template <class Value, class Holds>
bool each_in_some(const std::vector<Value>& narrow, const std::vector<Value>& wide, Holds holds) {
  return std::all_of(narrow.begin(), narrow.end(), [&](const Value& value) {
    return std::any_of(wide.begin(), wide.end(),
                       [&](const Value& other) { return holds(other, value); });
  });
}
template <class Value, class Holds>
bool no_two(const std::vector<Value>& one, const std::vector<Value>& other, Holds holds) {
  return std::none_of(one.begin(), one.end(), [&](const Value& a) {
    return std::any_of(other.begin(), other.end(), [&](const Value& b) { return holds(a, b); });
  });
}

// The values alone, without `not`. Both matches are of the same property.
bool is_subset(const Match& narrow, const Match& wide) {
  const auto holds = [](const auto& a, const auto& b) { return contains(a, b); };
  const auto holds_text = [&](const std::string& a, const std::string& b) {
    return a == b || (is_literal(b) && fits_glob(*wide.field, a, b));
  };
  return each_in_some(narrow.ranges, wide.ranges, holds) &&
         each_in_some(narrow.prefixes, wide.prefixes, holds) &&
         each_in_some(narrow.pids, wide.pids, holds) &&
         each_in_some(narrow.flags, wide.flags, holds) &&
         each_in_some(narrow.globs, wide.globs, holds_text);
}

bool is_disjoint(const Match& one, const Match& other) {
  if (one.field->with_ancestors) return false;  // a process descends from many
  const auto both = [](const auto& a, const auto& b) { return overlap(a, b); };
  const auto both_texts = [&](const std::string& a, const std::string& b) {
    if (!is_literal(a) && !is_literal(b)) return true;  // perhaps
    return is_literal(b) ? fits_glob(*one.field, a, b) : fits_glob(*one.field, b, a);
  };
  return no_two(one.ranges, other.ranges, both) && no_two(one.prefixes, other.prefixes, both) &&
         no_two(one.pids, other.pids, both) && no_two(one.flags, other.flags, both) &&
         no_two(one.globs, other.globs, both_texts);
}

bool is_same_property(const Match& one, const Match& other) {
  return property_of(*one.field) == property_of(*other.field);
}

}  // namespace

bool covers(const Match& wide, const Match& narrow) {
  if (!is_same_property(wide, narrow)) return false;
  if (wide.is_negated)
    return narrow.is_negated ? is_subset(wide, narrow) : is_disjoint(wide, narrow);
  return !narrow.is_negated && is_subset(narrow, wide);
}

bool covers(const Rule& wide, const Rule& narrow) {
  // An `allow` fits only if all holders do, a `drop` if any does.
  const bool is_any_enough = wide.is_of_packets_alone() || wide.action == model::Action::drop ||
                             narrow.action == model::Action::pass;
  return is_any_enough && covers_single_owners(wide, narrow);
}

bool covers_single_owners(const Rule& wide, const Rule& narrow) {
  return std::all_of(wide.matches.begin(), wide.matches.end(), [&](const Match& match) {
    return std::any_of(narrow.matches.begin(), narrow.matches.end(),
                       [&](const Match& other) { return covers(match, other); });
  });
}

bool excludes(const Match& one, const Match& other) {
  if (!is_same_property(one, other)) return false;
  if (one.is_negated && other.is_negated) return false;
  if (one.is_negated) return is_subset(other, one);
  if (other.is_negated) return is_subset(one, other);
  return is_disjoint(one, other);
}

bool excludes_packets(const Rule& one, const Rule& other) {
  return std::any_of(one.matches.begin(), one.matches.end(), [&](const Match& a) {
    return !a.field->is_guest_side() && std::any_of(other.matches.begin(), other.matches.end(),
                                                    [&](const Match& b) { return excludes(a, b); });
  });
}

}  // namespace xfilter::policy
