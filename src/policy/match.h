// SPDX-License-Identifier: Apache-2.0
// policy/match.h: does a rule fit? The plain and obviously right way, which index and lowering are
// compared with.
//
// Owners are sets: a `drop` fits if any holder fits all of the rule's matches about the guest, an
// `allow` only if all holders do. An owner without a process fits `unattributed` and other matches
// about the owner, and `uid` and `user` by the socket's own uid. Threads: any. Cost: no system
// call; an allocation for `cmdline` alone.
#pragma once

#include "policy/fields.h"
#include "policy/rule.h"

namespace xfilter::policy {

bool fits_packet(const Match& match, const Subject& subject);
bool fits_process(const Match& match, const model::Owner& owner, const model::Process& process);
bool fits_nobody(const Match& match, const model::Owner& owner);

bool fits_packet(const Rule& rule, const Subject& subject);
bool fits_owner(const Rule& rule, const model::Owner& owner);
bool fits(const Rule& rule, const Subject& subject);

// Whether a pattern is just a text, with nothing in it that stands for something else.
bool is_literal(const std::string& glob);
bool fits_glob(const Field& field, const std::string& glob, std::string_view text);

}  // namespace xfilter::policy
