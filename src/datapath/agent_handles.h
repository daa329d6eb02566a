// SPDX-License-Identifier: Apache-2.0
// datapath/agent_handles.h: the descriptors by which an agent works one netdev's datapath.
//
// The opener makes them, the agent gets them over its control socket. `tails` is the crash switch:
// only the agent may hold it, so the opener closes its copy after sending.
#pragma once

#include <array>
#include <cstddef>

#include "base/fd.h"

namespace xfilter::datapath {

struct AgentHandles {
  Fd punt_tap;
  Fd drops, verdicts, held, agent, counters, tails;  // BPF maps, see bpf/shared.h

  static constexpr std::size_t kCount = 7;
  std::array<Fd*, kCount> all() {
    return {&punt_tap, &drops, &verdicts, &held, &agent, &counters, &tails};
  }
};

}  // namespace xfilter::datapath
