// SPDX-License-Identifier: Apache-2.0
// engine/event.h: lines of the event log. docs/output.md describes them.
#pragma once

#include <chrono>
#include <string>

#include "model/owner.h"
#include "packet/flow.h"
#include "policy/policy.h"

namespace xfilter::engine {

// One JSON object, without a newline, ASCII only: the guest's bytes cannot reach a terminal through
// it.
std::string verdict_event(std::chrono::system_clock::time_point time, const packet::Flow& flow,
                          const model::Owner& owner, const policy::Verdict& verdict,
                          std::chrono::nanoseconds spent);

}  // namespace xfilter::engine
