// SPDX-License-Identifier: Apache-2.0
#include "policy/match.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

namespace xfilter::policy {
namespace {

using model::Owner;
using model::Process;

bool in_ranges(const std::vector<Range>& ranges, std::uint32_t value) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return range.first <= value && value <= range.last;
  });
}

bool in_prefix(const Prefix& prefix, const packet::IpAddress& address) {
  if (prefix.address.family != address.family) return false;
  int left = prefix.length;
  for (std::size_t i = 0; left > 0; ++i, left -= 8) {
    const unsigned mask = left >= 8 ? 0xffu : 0xffu << (8 - left) & 0xffu;
    if (((prefix.address.bytes[i] ^ address.bytes[i]) & mask) != 0) return false;
  }
  return true;
}

bool has_number(const Match& match, std::uint32_t value) {
  if (match.field->kind != ValueKind::tcp_flags) return in_ranges(match.ranges, value);
  return std::any_of(match.flags.begin(), match.flags.end(), [&](const TcpFlagsMatch& flags) {
    return (value & flags.asked_of) == flags.set;
  });
}

bool has_text(const Match& match, std::string_view text) {
  return std::any_of(match.globs.begin(), match.globs.end(),
                     [&](const std::string& glob) { return fits_glob(*match.field, glob, text); });
}

// Rounded or cut: both are within one unit of the last digit that was written.
bool is_process(const PidMatch& match, const model::ProcessId& id) {
  return match.pid == id.pid &&
         (!match.start || std::chrono::abs(id.start_boottime - *match.start) < match.precision);
}

bool has_pid(const Match& match, const Process& process) {
  return std::any_of(match.pids.begin(), match.pids.end(), [&](const PidMatch& pid) {
    return is_process(pid, process.id) ||
           (match.field->with_ancestors &&
            std::any_of(process.parents.begin(), process.parents.end(),
                        [&](const model::Ancestor& parent) { return is_process(pid, parent.id); }));
  });
}

}  // namespace

bool is_literal(const std::string& glob) {
  return glob.find_first_of("*?[\\") == std::string::npos;
}

bool fits_glob(const Field& field, const std::string& glob, std::string_view text) {
  if (is_literal(glob)) return glob == text;
  const int flags = field.kind == ValueKind::path ? FNM_PATHNAME : 0;
  return ::fnmatch(glob.c_str(), std::string(text).c_str(), flags) == 0;
}

bool fits_packet(const Match& match, const Subject& subject) {
  const Field& field = *match.field;
  if (field.address_of_packet != nullptr) {
    const packet::IpAddress* address = field.address_of_packet(subject);
    return address != nullptr &&
           std::any_of(match.prefixes.begin(), match.prefixes.end(), [&](const Prefix& prefix) {
             return in_prefix(prefix, *address);
           }) != match.is_negated;
  }
  if (field.text_of_packet != nullptr) {
    const auto text = field.text_of_packet(subject);
    return text && has_text(match, *text) != match.is_negated;
  }
  const auto number = field.number_of_packet(subject);
  return number && has_number(match, *number) != match.is_negated;
}

bool fits_process(const Match& match, const Owner& owner, const Process& process) {
  const Field& field = *match.field;
  if (field.side == Side::owner) {
    const auto number = field.number_of_owner(owner);
    return number && has_number(match, *number) != match.is_negated;
  }
  if (field.kind == ValueKind::pid) return has_pid(match, process) != match.is_negated;
  if (field.text_of_process != nullptr) {
    std::string scratch;
    const auto text = field.text_of_process(process, scratch);
    return text && has_text(match, *text) != match.is_negated;
  }
  const auto number = field.number_of_process(process);
  return number && has_number(match, *number) != match.is_negated;
}

bool fits_nobody(const Match& match, const Owner& owner) {
  const Field& field = *match.field;
  const auto of_owner = field.side == Side::owner ? field.number_of_owner : field.number_of_nobody;
  if (of_owner == nullptr) return false;
  const auto number = of_owner(owner);
  return number && has_number(match, *number) != match.is_negated;
}

bool fits_packet(const Rule& rule, const Subject& subject) {
  return std::all_of(rule.matches.begin(), rule.matches.end(), [&](const Match& match) {
    return match.field->is_guest_side() || fits_packet(match, subject);
  });
}

bool fits_owner(const Rule& rule, const Owner& owner) {
  const auto is_about_packet = [](const Match& match) { return !match.field->is_guest_side(); };
  if (owner.processes.empty())
    return std::all_of(rule.matches.begin(), rule.matches.end(), [&](const Match& match) {
      return is_about_packet(match) || fits_nobody(match, owner);
    });
  const auto fits_all = [&](const model::ProcessRef& process) {
    return std::all_of(rule.matches.begin(), rule.matches.end(), [&](const Match& match) {
      return is_about_packet(match) || fits_process(match, owner, *process);
    });
  };
  return rule.action == model::Action::drop
             ? std::any_of(owner.processes.begin(), owner.processes.end(), fits_all)
             : std::all_of(owner.processes.begin(), owner.processes.end(), fits_all);
}

bool fits(const Rule& rule, const Subject& subject) {
  return fits_packet(rule, subject) && fits_owner(rule, subject.owner);
}

bool Rule::is_of_packets_alone() const {
  return std::none_of(matches.begin(), matches.end(),
                      [](const Match& match) { return match.field->is_guest_side(); });
}

std::string place_of(const Rule& rule) {
  return rule.place.line == 0 ? "built in" : fmt::format("{}:{}", rule.place.file, rule.place.line);
}

std::string to_string(const Match& match) {
  std::string text = match.is_negated ? "not " : "";
  text += match.field->word;
  if (!match.values.empty()) text += " " + match.values;
  return text;
}

const char* to_string(Section section) {
  switch (section) {
    case Section::protect:
      return "protect";
    case Section::learned:
      return "learned";
    case Section::operators:
      return "operator";
  }
  return "?";
}

}  // namespace xfilter::policy
