// SPDX-License-Identifier: Apache-2.0
// packet/community_id.h: the flow's id that other network tools (Suricata, Zeek) give it too.
//
// Community ID Flow Hashing, version 1, seed 0 (github.com/corelight/community-id-spec): both
// directions of a flow have the same. Cost: a SHA-1 and one allocation.
#pragma once

#include <optional>
#include <string>

#include "packet/parse.h"

namespace xfilter::packet {

// None for what is not a whole IP packet: a later fragment does not tell its flow.
std::optional<std::string> community_id(const Packet& packet);

}  // namespace xfilter::packet
