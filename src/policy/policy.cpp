// SPDX-License-Identifier: Apache-2.0
#include "policy/policy.h"

#include <fnmatch.h>

#include <algorithm>

namespace xfilter::policy {
namespace {

using model::Owner;
using model::Process;
using packet::Packet;

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

bool in_prefixes(const std::vector<Prefix>& prefixes, const packet::IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const Prefix& prefix) { return in_prefix(prefix, address); });
}

bool matches_glob(const std::vector<std::string>& globs, const std::string& text, int flags) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return ::fnmatch(glob.c_str(), text.c_str(), flags) == 0;
  });
}

bool has_ports(const Packet& packet) {
  return packet.kind == packet::Kind::ip && (packet.flow.protocol == packet::protocol::tcp ||
                                             packet.flow.protocol == packet::protocol::udp);
}

// The packet side. A packet that has not what a match asks for (ports of ICMP) does not fit it,
// negated or not: `not dport 25` is about packets that have a port.
bool fits_packet(const Match& match, const Packet& packet) {
  if (packet.kind != packet::Kind::ip && packet.kind != packet::Kind::fragment) return false;
  const packet::Flow& flow = packet.flow;
  switch (match.field) {
    case Field::protocol:
      return in_ranges(match.ranges, flow.protocol) != match.is_negated;
    case Field::src:
      return in_prefixes(match.prefixes, flow.src) != match.is_negated;
    case Field::dst:
      return in_prefixes(match.prefixes, flow.dst) != match.is_negated;
    case Field::sport:
      return has_ports(packet) && in_ranges(match.ranges, flow.src_port) != match.is_negated;
    case Field::dport:
      return has_ports(packet) && in_ranges(match.ranges, flow.dst_port) != match.is_negated;
    default:
      return true;
  }
}

// Rounded or cut: both are within one unit of the last digit that was written.
bool is_start(const PidMatch& match, std::chrono::nanoseconds start) {
  return !match.start || std::chrono::abs(start - *match.start) < match.precision;
}

bool fits_process(const Match& match, const Process& process) {
  switch (match.field) {
    case Field::uid:
      return in_ranges(match.ranges, process.uid) != match.is_negated;
    case Field::pid:
      return std::any_of(match.pids.begin(), match.pids.end(), [&](const PidMatch& pid) {
               return pid.pid == process.id.pid && is_start(pid, process.id.start_boottime);
             }) != match.is_negated;
    case Field::exe:
      return matches_glob(match.globs, process.exe, FNM_PATHNAME) != match.is_negated;
    case Field::comm:
      return matches_glob(match.globs, process.comm, 0) != match.is_negated;
    case Field::unattributed:
      return match.is_negated;
    default:
      return true;
  }
}

bool fits_nobody(const Match& match, const Owner& owner) {
  if (match.field == Field::unattributed) return !match.is_negated;
  if (match.field == Field::uid && owner.socket_uid)
    return in_ranges(match.ranges, *owner.socket_uid) != match.is_negated;
  return !is_guest_side(match.field);
}

bool fits_owner(const Rule& rule, const Owner& owner) {
  const auto fits_all = [&](const model::ProcessRef& process) {
    return std::all_of(rule.matches.begin(), rule.matches.end(),
                       [&](const Match& match) { return fits_process(match, *process); });
  };
  if (owner.processes.empty())
    return std::all_of(rule.matches.begin(), rule.matches.end(),
                       [&](const Match& match) { return fits_nobody(match, owner); });
  return rule.action == model::Action::drop
             ? std::any_of(owner.processes.begin(), owner.processes.end(), fits_all)
             : std::all_of(owner.processes.begin(), owner.processes.end(), fits_all);
}

bool fits_packet(const Rule& rule, const Packet& packet) {
  return std::all_of(rule.matches.begin(), rule.matches.end(),
                     [&](const Match& match) { return fits_packet(match, packet); });
}

}  // namespace

bool is_guest_side(Field field) {
  return field == Field::uid || field == Field::pid || field == Field::exe ||
         field == Field::comm || field == Field::unattributed;
}

model::Verdict Policy::decide(const Packet& packet, const Owner& owner) const {
  for (const Rule& rule : rules_)
    if (fits_packet(rule, packet) && fits_owner(rule, owner)) return {rule.action, &rule.place};
  return {default_action_, &default_place_};
}

}  // namespace xfilter::policy
