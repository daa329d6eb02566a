// SPDX-License-Identifier: Apache-2.0
// datapath/netdev.h: the netdevs on the host that a VMM's NICs end in.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::datapath {

struct Netdev {
  std::string name;
  Fd netns;  // the network namespace that it lives in
};

// The taps that a process holds open, each once, by name. host_refused when we may not look.
// Needs CAP_SYS_PTRACE (it copies the process's descriptors to ask the kernel about them).
Result<std::vector<Netdev>> find_taps(pid_t vmm);

// The netdevs called `names`: taps of the VMM first, otherwise devices of its network namespace.
// With no names, all of its taps. input_invalid says which there are.
Result<std::vector<Netdev>> find_netdevs(pid_t vmm, const std::vector<std::string>& names);

// Moves the calling thread into the network namespace.
Result<void> enter_netns(const Fd& netns);

}  // namespace xfilter::datapath
