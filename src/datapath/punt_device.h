// SPDX-License-Identifier: Apache-2.0
// datapath/punt_device.h: the tap through which held packets go to the agent and come back.
//
// It lives in the network namespace of the VM's netdev (a redirect across namespaces would clear
// the release mark), has the VM tap's offloads so that segmented traffic passes whole, and a long
// queue: measured, the default of 500 packets loses thousands at a burst. It goes when its last
// descriptor does.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace xfilter::datapath {

// Packets that wait for the agent: the length of the punt device's queue, and what the entry
// program takes for a hung agent.
inline constexpr std::uint32_t kPuntQueueLength = 10'000;

struct PuntDevice {
  Fd tap;  // IFF_VNET_HDR, non-blocking; reads and writes whole frames
  std::string name;
  int ifindex = 0;
};

// Makes "xfp<ifindex of the VM's netdev>" in the calling thread's network namespace.
Result<PuntDevice> create_punt_device(int vm_ifindex);

}  // namespace xfilter::datapath
