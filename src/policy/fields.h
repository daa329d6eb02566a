// SPDX-License-Identifier: Apache-2.0
// policy/fields.h: the words of the rule language that match something, as a table.
//
// To add a field: (1) its row here; (2) its enumerator in policy.h and its line in policy.cpp's
// fits_packet() or fits_process(); (3) a golden file that uses it: the test
// every_field_has_a_golden_test fails until there is one.
#pragma once

#include <array>
#include <string_view>

#include "policy/policy.h"

namespace xfilter::policy {

enum class ValueKind { none, number, port, prefix, user, pid, glob };

struct FieldWord {
  std::string_view word;
  Field field;
  ValueKind value;
  std::uint32_t implied;      // ValueKind::none of Field::protocol: the protocol's number
  std::string_view expected;  // for messages: what a value looks like
};

inline constexpr std::array kFieldWords = {
    FieldWord{"tcp", Field::protocol, ValueKind::none, packet::protocol::tcp, ""},
    FieldWord{"udp", Field::protocol, ValueKind::none, packet::protocol::udp, ""},
    FieldWord{"icmp", Field::protocol, ValueKind::none, packet::protocol::icmp, ""},
    FieldWord{"icmpv6", Field::protocol, ValueKind::none, packet::protocol::icmpv6, ""},
    FieldWord{"proto", Field::protocol, ValueKind::number, 255, "an IP protocol number (0-255)"},
    FieldWord{"src", Field::src, ValueKind::prefix, 0,
              "an address or prefix, such as 10.0.0.0/8 or fd00::/8"},
    FieldWord{"dst", Field::dst, ValueKind::prefix, 0,
              "an address or prefix, such as 10.0.0.0/8 or fd00::/8"},
    FieldWord{"sport", Field::sport, ValueKind::port, 65535,
              "a port (0-65535) or a range such as 1024-65535"},
    FieldWord{"dport", Field::dport, ValueKind::port, 65535,
              "a port (0-65535) or a range such as 1024-65535"},
    FieldWord{"uid", Field::uid, ValueKind::number, UINT32_MAX,
              "a user id or a range such as 1000-1999"},
    FieldWord{"user", Field::uid, ValueKind::user, 0, "the name of a user of the guest"},
    FieldWord{"pid", Field::pid, ValueKind::pid, 0,
              "a process id, best with its start as in 4121@812.44"},
    FieldWord{"exe", Field::exe, ValueKind::glob, 0,
              "a path that starts with /, perhaps with * or ?"},
    FieldWord{"comm", Field::comm, ValueKind::glob, 0, "a task name, perhaps with * or ?"},
    FieldWord{"unattributed", Field::unattributed, ValueKind::none, 0, ""},
};

}  // namespace xfilter::policy
