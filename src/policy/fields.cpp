// SPDX-License-Identifier: Apache-2.0
#include "policy/fields.h"

#include <algorithm>
#include <array>

namespace xfilter::policy {
namespace {

using model::Owner;
using model::Process;
using Number = std::optional<std::uint32_t>;
using Text = std::optional<std::string_view>;

Number protocol_of(const Subject& subject) {
  return subject.packet.is_ip() ? Number(subject.packet.flow.protocol) : std::nullopt;
}

Text of(const std::string& text) {
  return std::string_view(text);
}

constexpr std::string_view kAddress = "an address or prefix, such as 10.0.0.0/8 or fd00::/8";
constexpr std::string_view kPort = "a port (0-65535) or a range such as 1024-65535";
constexpr std::string_view kPid = "a process id, best with its start as in 4121@812.44";
constexpr std::string_view kPath = "a path that starts with /, perhaps with * or ?";
constexpr std::array<std::string_view, 4> kConfidences = {"exact", "inferred", "ambiguous",
                                                          "unknown"};  // model::Confidence's order

const std::array kFields = {
    Field{.word = "tcp",
          .side = Side::packet,
          .kind = ValueKind::none,
          .implied = packet::protocol::tcp,
          .number_of_packet = protocol_of},
    Field{.word = "udp",
          .side = Side::packet,
          .kind = ValueKind::none,
          .implied = packet::protocol::udp,
          .number_of_packet = protocol_of},
    Field{.word = "icmp",
          .side = Side::packet,
          .kind = ValueKind::none,
          .implied = packet::protocol::icmp,
          .number_of_packet = protocol_of},
    Field{.word = "icmpv6",
          .side = Side::packet,
          .kind = ValueKind::none,
          .implied = packet::protocol::icmpv6,
          .number_of_packet = protocol_of},
    Field{.word = "proto",
          .side = Side::packet,
          .kind = ValueKind::number,
          .expected = "an IP protocol number (0-255)",
          .largest = 255,
          .number_of_packet = protocol_of},
    Field{.word = "src",
          .side = Side::packet,
          .kind = ValueKind::prefix,
          .expected = kAddress,
          .address_of_packet = [](const Subject& subject) -> const packet::IpAddress* {
            return subject.packet.is_ip() ? &subject.packet.flow.src : nullptr;
          }},
    Field{.word = "dst",
          .side = Side::packet,
          .kind = ValueKind::prefix,
          .expected = kAddress,
          .address_of_packet = [](const Subject& subject) -> const packet::IpAddress* {
            return subject.packet.is_ip() ? &subject.packet.flow.dst : nullptr;
          }},
    Field{.word = "sport",
          .side = Side::packet,
          .kind = ValueKind::number,
          .expected = kPort,
          .largest = 65535,
          .number_of_packet =
              [](const Subject& subject) {
                return subject.packet.has_ports() ? Number(subject.packet.flow.src_port)
                                                  : std::nullopt;
              }},
    Field{.word = "dport",
          .side = Side::packet,
          .kind = ValueKind::number,
          .expected = kPort,
          .largest = 65535,
          .number_of_packet =
              [](const Subject& subject) {
                return subject.packet.has_ports() ? Number(subject.packet.flow.dst_port)
                                                  : std::nullopt;
              }},
    Field{.word = "flags",
          .side = Side::packet,
          .kind = ValueKind::tcp_flags,
          .expected = "TCP flags such as syn, syn+ack, or syn/syn+ack (of these two, only syn)",
          .number_of_packet =
              [](const Subject& subject) {
                return subject.packet.has_ports() &&
                               subject.packet.flow.protocol == packet::protocol::tcp
                           ? Number(subject.packet.tcp_flags)
                           : std::nullopt;
              }},
    Field{.word = "vlan",
          .side = Side::packet,
          .kind = ValueKind::number,
          .expected = "a VLAN id (0-4094; 0: no tag) or a range",
          .largest = 4094,
          .number_of_packet =
              [](const Subject& subject) {
                return subject.packet.is_ip() ? Number(subject.packet.flow.vlan) : std::nullopt;
              }},
    Field{.word = "iface",
          .side = Side::packet,
          .kind = ValueKind::text,
          .expected = "a netdev of the VM on this host, perhaps with * or ?",
          .text_of_packet =
              [](const Subject& subject) {
                return subject.packet.is_ip() ? Text(subject.netdev) : std::nullopt;
              }},
    Field{.word = "uid",
          .side = Side::process,
          .kind = ValueKind::number,
          .expected = "a user id or a range such as 1000-1999",
          .largest = UINT32_MAX,
          .number_of_process = [](const Process& process) { return Number(process.uid); },
          .number_of_nobody = [](const Owner& owner) { return owner.socket_uid; }},
    Field{.word = "user",
          .side = Side::process,
          .kind = ValueKind::user,
          .expected = "the name of a user of the guest",
          .number_of_process = [](const Process& process) { return Number(process.uid); },
          .number_of_nobody = [](const Owner& owner) { return owner.socket_uid; }},
    Field{.word = "gid",
          .side = Side::process,
          .kind = ValueKind::number,
          .expected = "a group id or a range such as 1000-1999",
          .largest = UINT32_MAX,
          .number_of_process = [](const Process& process) { return Number(process.gid); }},
    Field{.word = "group",
          .side = Side::process,
          .kind = ValueKind::group,
          .expected = "the name of a group of the guest",
          .number_of_process = [](const Process& process) { return Number(process.gid); }},
    Field{.word = "pid", .side = Side::process, .kind = ValueKind::pid, .expected = kPid},
    Field{.word = "tree",
          .side = Side::process,
          .kind = ValueKind::pid,
          .expected = kPid,
          .with_ancestors = true},
    Field{.word = "exe",
          .side = Side::process,
          .kind = ValueKind::path,
          .expected = kPath,
          .text_of_process = [](const Process& process, std::string&) { return of(process.exe); }},
    Field{.word = "parent exe",
          .side = Side::process,
          .kind = ValueKind::path,
          .expected = kPath,
          .text_of_process =
              [](const Process& process, std::string&) {
                return process.parents.empty() ? std::nullopt : of(process.parents.front().exe);
              }},
    Field{.word = "comm",
          .side = Side::process,
          .kind = ValueKind::text,
          .expected = "a task name, perhaps with * or ?",
          .text_of_process = [](const Process& process, std::string&) { return of(process.comm); }},
    Field{.word = "cmdline",
          .side = Side::process,
          .kind = ValueKind::text,
          .expected = "a command line, with * for a space and what else varies",
          .text_of_process =
              [](const Process& process, std::string& scratch) {
                for (const std::string& argument : process.cmdline)
                  scratch += (scratch.empty() ? "" : " ") + argument;
                return of(scratch);
              }},
    Field{.word = "session",
          .side = Side::process,
          .kind = ValueKind::number,
          .expected = "the process id of a session's leader",
          .largest = INT32_MAX,
          .number_of_process =
              [](const Process& process) {
                return Number(static_cast<std::uint32_t>(process.session));
              }},
    Field{.word = "container",
          .side = Side::process,
          .kind = ValueKind::text,
          .expected = "a container's id, or its beginning and a *",
          .text_of_process = [](const Process& process,
                                std::string&) { return of(process.container); }},
    Field{
        .word = "cgroup",
        .side = Side::process,
        .kind = ValueKind::path,
        .expected = "a control group's path, which starts with /, perhaps with * or ?",
        .text_of_process = [](const Process& process, std::string&) { return of(process.cgroup); }},
    Field{.word = "netns",
          .side = Side::process,
          .kind = ValueKind::number,
          .expected = "the inode number of a network namespace",
          .largest = UINT32_MAX,
          .number_of_process = [](const Process& process) { return Number(process.netns); }},
    Field{.word = "hidden",
          .side = Side::process,
          .kind = ValueKind::none,
          .implied = 1,
          .number_of_process =
              [](const Process& process) { return Number(process.is_hidden ? 1 : 0); }},
    Field{.word = "confidence",
          .side = Side::owner,
          .kind = ValueKind::word,
          .expected = "exact, inferred, ambiguous or unknown",
          .words = kConfidences,
          .number_of_owner =
              [](const Owner& owner) {
                return Number(static_cast<std::uint32_t>(owner.confidence));
              }},
    Field{.word = "unattributed",
          .side = Side::owner,
          .kind = ValueKind::none,
          .implied = 1,
          .number_of_owner =
              [](const Owner& owner) { return Number(owner.is_attributed() ? 0 : 1); }},
};

}  // namespace

std::span<const Field> all_fields() {
  return kFields;
}

std::size_t property_of(const Field& field) {
  const auto is_same = [&](const Field& other) {
    return other.number_of_packet == field.number_of_packet &&
           other.address_of_packet == field.address_of_packet &&
           other.text_of_packet == field.text_of_packet &&
           other.number_of_owner == field.number_of_owner &&
           other.number_of_process == field.number_of_process &&
           other.text_of_process == field.text_of_process &&
           (other.kind == ValueKind::pid) == (field.kind == ValueKind::pid) &&
           other.with_ancestors == field.with_ancestors;
  };
  return static_cast<std::size_t>(std::find_if(kFields.begin(), kFields.end(), is_same) -
                                  kFields.begin());
}

const Field* find_field(std::string_view word) {
  const auto row = std::find_if(kFields.begin(), kFields.end(),
                                [&](const Field& field) { return field.word == word; });
  return row == kFields.end() ? nullptr : &*row;
}

}  // namespace xfilter::policy
