// SPDX-License-Identifier: Apache-2.0
// policy/cover.h: what can be said of two rules without a packet: that one fits wherever the other
// does, or that no packet fits both.
//
// Both answers are safe: false means that it could not be shown. Threads: any.
#pragma once

#include "policy/rule.h"

namespace xfilter::policy {

// Whatever fits `narrow` fits `wide`.
bool covers(const Match& wide, const Match& narrow);
bool covers(const Rule& wide, const Rule& narrow);
// The same for packets of owners of one process: of several, an `allow` needs all.
bool covers_single_owners(const Rule& wide, const Rule& narrow);

// Nothing fits both.
bool excludes(const Match& one, const Match& other);
// No packet fits both, by what they say of packets.
bool excludes_packets(const Rule& one, const Rule& other);

}  // namespace xfilter::policy
