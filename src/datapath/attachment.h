// SPDX-License-Identifier: Apache-2.0
// datapath/attachment.h: xFilter on one netdev of a VM. The opener's side.
//
// attach() loads the eBPF programs, makes the punt device and puts the entry program on the netdev;
// detach() takes everything away again and leaves the netdev as it was. Without detach() (the
// process was killed) the entry program stays with its drops in force, holds nothing any more, and
// the next attach() takes it over: drops that it finds go on for a while, so that nothing blocked
// leaks, and are judged afresh after that. The caller has entered the netdev's network namespace,
// and stays in it. Needs CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN. Threads: one.
#pragma once

#include <chrono>
#include <string>

#include "datapath/agent_handles.h"
#include "datapath/punt_device.h"
#include "datapath/traffic_control.h"

namespace xfilter::datapath {

class Attachment {
 public:
  // already_attached when a living xFilter serves this netdev.
  static Result<Attachment> attach(const std::string& netdev);
  Attachment(Attachment&&) = default;
  Attachment& operator=(Attachment&&) = default;

  // Descriptors for a new agent; arms the crash switch. May be called again when that agent has
  // died.
  Result<AgentHandles> arm();

  Result<void> detach();

  const std::string& netdev() const { return netdev_; }
  std::size_t inherited_drops() const { return inherited_drops_; }

 private:
  Attachment() = default;

  std::string netdev_;
  Fd lock_;
  PuntDevice punt_;
  AttachedFilter entry_;
  Fd drops_, verdicts_, held_, agent_, counters_, punt_program_;
  std::uint32_t tails_id_ = 0;
  Fd unsent_tails_;  // keeps the first crash switch alive until arm()
  std::size_t inherited_drops_ = 0;
};

// Whether this host's kernel takes our eBPF programs; loads and discards them. Needs root.
Result<void> try_programs();

// How long drops of a predecessor go on before their flows are judged afresh.
inline constexpr std::chrono::seconds kInheritedDrops{10};

}  // namespace xfilter::datapath
