// SPDX-License-Identifier: Apache-2.0
// policy/fields.h: what rules can match, as a table. Parser, matcher, index, lowering, warnings,
// explanations, JSON and docs/rules.md follow it.
//
// To add a field: (1) its row in fields.cpp; (2) its row in the table of docs/rules.md; (3) golden
// cases in tests/golden/policy that use it plain, with `not` and with a set: tests name what is
// missing.
#pragma once

#include <span>

#include "policy/rule.h"

namespace xfilter::policy {

// What a field is a property of.
enum class Side : std::uint8_t {
  packet,   // the headers, or where it came from
  owner,    // all that is known of who sent it
  process,  // one of the processes that hold the socket
};

// How values are written and compared.
enum class ValueKind : std::uint8_t {
  none,       // a word alone
  number,     // numbers and ranges, up to Field::largest
  user,       // names of the users file, or of its groups; compared as numbers
  group,      //
  prefix,     // addresses and prefixes
  tcp_flags,  // syn, syn+ack, syn/syn+ack
  pid,        // PID, PID@START
  path,       // a glob in which * does not match /
  text,       // a glob
  word,       // one of Field::words
};

struct Field {
  std::string_view word;
  Side side;
  ValueKind kind;
  std::string_view expected = {};  // for messages: what a value looks like
  std::uint32_t largest = 0;
  // The one value of a word that stands for another field's: `tcp` is `proto 6`.
  std::optional<std::uint32_t> implied = {};
  std::span<const std::string_view> words = {};

  // What is compared; none when the subject has no such thing, and then no match fits, negated or
  // not. Exactly one is set.
  std::optional<std::uint32_t> (*number_of_packet)(const Subject&) = nullptr;
  const packet::IpAddress* (*address_of_packet)(const Subject&) = nullptr;
  std::optional<std::string_view> (*text_of_packet)(const Subject&) = nullptr;
  std::optional<std::uint32_t> (*number_of_owner)(const model::Owner&) = nullptr;
  std::optional<std::uint32_t> (*number_of_process)(const model::Process&) = nullptr;
  // `scratch` is room for a text that has to be put together; it must outlive the result.
  std::optional<std::string_view> (*text_of_process)(const model::Process&,
                                                     std::string& scratch) = nullptr;
  // Of an owner without processes: the number it has all the same (the socket's own uid).
  std::optional<std::uint32_t> (*number_of_nobody)(const model::Owner&) = nullptr;
  // Pids: of the process itself, or also of those it descends from.
  bool with_ancestors = false;

  bool is_guest_side() const { return side != Side::packet; }
};

std::span<const Field> all_fields();
// Fields that are words for the same thing (uid and user, tcp and proto) have the same number.
std::size_t property_of(const Field& field);
// None when no field has this name.
const Field* find_field(std::string_view word);

}  // namespace xfilter::policy
