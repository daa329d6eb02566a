// SPDX-License-Identifier: Apache-2.0
// engine/agent.h: the confined process that reads one guest and judges its packets.
//
// It starts as a fork of the opener, gives up everything but the descriptors it needs, finds the
// guest's kernel, says `ready`, and then serves the netdevs that the opener sends. It ends when the
// opener goes: no packet is held from then on, those it had are judged, and its drops stay in force
// in the kernel.
#pragma once

#include <chrono>

#include "engine/control.h"
#include "engine/owner_json.h"
#include "guest/memory/vmm_process.h"
#include "policy/policy.h"

namespace xfilter::engine {

struct AgentOptions {
  std::chrono::seconds wait_for_guest{0};
  CommandLines command_lines = CommandLines::redacted;  // in events
};

// Never returns; the exit code is 0 after an orderly end.
[[noreturn]] void run_agent(Fd control, guest::memory::VmmMemory vmm, const policy::Policy& policy,
                            const AgentOptions& options);

}  // namespace xfilter::engine
