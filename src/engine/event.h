// SPDX-License-Identifier: Apache-2.0
// engine/event.h: lines of the event log. docs/output.md describes them.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "engine/mode.h"
#include "engine/owner_json.h"
#include "packet/parse.h"
#include "policy/policy.h"

namespace xfilter::engine {

struct Judged {
  const packet::Packet& packet;
  std::string_view netdev;
  const model::Owner& owner;
  const policy::Verdict& verdict;
  Mode mode;                       // in observe the packet passes, whatever the verdict
  std::chrono::nanoseconds spent;  // from reading the packet to its verdict
};

// One JSON object, as Suricata's EVE has them, without a newline, ASCII only: the guest's bytes
// cannot reach a terminal through it.
std::string verdict_event(std::chrono::system_clock::time_point time, const Judged& judged,
                          CommandLines command_lines);

}  // namespace xfilter::engine
