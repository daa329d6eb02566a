// SPDX-License-Identifier: Apache-2.0
// engine/agent.h: the confined process that reads one guest and judges its packets.
//
// It starts as a fork of the opener, gives up everything but the descriptors it needs, finds the
// guest's kernel, says `ready`, and then serves the netdevs that the opener sends, and the clients
// of the control socket. It ends when the opener goes: no packet is held from then on, those it had
// are judged, and its drops stay in force in the kernel.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "control/server.h"
#include "engine/agent_link.h"
#include "engine/mode.h"
#include "engine/owner_json.h"
#include "engine/rulebook.h"
#include "guest/memory/vmm_process.h"
#include "store/store.h"

namespace xfilter::engine {

struct AgentOptions {
  std::string vm;  // its name
  std::chrono::seconds wait_for_guest{0};
  CommandLines command_lines = CommandLines::redacted;  // in events
  control::Groups groups;
  // What takes the place of what the store has; the first agent of a run commits it.
  std::optional<RuleSources> sources;
  std::optional<Mode> mode;
};

// What the store had when the agent was started.
struct Stored {
  store::Version version;
  std::vector<store::Use> uses;
};

// Never returns; the exit code is 0 after an orderly end. `listening` may be shared with others.
[[noreturn]] void run_agent(Fd link, Fd listening, guest::memory::VmmMemory vmm, Stored stored,
                            const AgentOptions& options);

}  // namespace xfilter::engine
