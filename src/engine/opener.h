// SPDX-License-Identifier: Apache-2.0
// engine/opener.h: the privileged process of one VM: opens what the agent needs, attaches the
// datapath, keeps the agent alive, and takes everything away at the end.
//
// It parses nothing that a guest wrote. Events pass through it as lines of text, and what the agent
// has stored is texts to it.
// SIGHUP opens the event log anew. SIGINT detaches: the netdevs are as before; so does the end of
// the VMM. SIGTERM ends the process and leaves the drops in force, as a crash does; the next attach
// takes them over.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/agent.h"

namespace xfilter::engine {

struct AttachOptions {
  pid_t vmm = 0;
  std::vector<std::string> netdevs;   // empty: all taps of the VMM
  std::string events;                 // see EventLog::open
  std::string store, control_socket;  // paths
  std::string store_subject;          // see store::Store::open
  store::Limits limits;
  AgentOptions agent;  // of the first; those that follow do not wait for the guest
};

// Filters until a signal ends it.
Result<void> run_opener(AttachOptions options);

}  // namespace xfilter::engine
