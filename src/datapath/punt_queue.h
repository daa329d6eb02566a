// SPDX-License-Identifier: Apache-2.0
// datapath/punt_queue.h: held packets, their release, and the verdicts that spare the next ones the
// way. The agent's side of one netdev.
//
// Works with descriptors alone: read and write on the punt tap, element updates on BPF maps.
// Nothing here needs a privilege. Order: a flow's pass verdict is set before its packet is
// released; the kernel then lets packets take the fast path only when none of the flow's is still
// on the way (see xf_held). Packets that never come back would keep that gate closed: settle()
// finds them when the queue is empty. Threads: one.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "bpf/shared.h"
#include "datapath/agent_handles.h"
#include "packet/flow.h"

namespace xfilter::datapath {

// Longer than a released packet waits for its second pass (a soft interrupt).
inline constexpr std::chrono::milliseconds kSettleTime{5};

// A flow as the maps know it. Public for tests.
xf_flow key_of(const packet::Flow& flow);

class PuntQueue {
 public:
  // `netdev` is what the VM's netdev is called.
  explicit PuntQueue(AgentHandles handles, std::string netdev = {});

  const std::string& netdev() const { return netdev_; }
  int descriptor() const { return handles_.punt_tap.number(); }  // to poll for reading

  // The next held packet, or nothing when the queue is empty. Valid until the next call.
  struct HeldPacket {
    std::span<const std::byte> frame;  // Ethernet header first
    std::span<const std::byte> whole;  // with the vnet header, as release() wants it
  };
  std::optional<HeldPacket> receive();

  // Lets a packet go on its way. A packet that the kernel does not take back is lost, and counted.
  void release(const HeldPacket& packet);
  // Ends a packet's way here.
  void discard(const HeldPacket& packet);

  // From now on packets of the flow pass, or are dropped, in the kernel, until the time has passed;
  // then one is held again. A drop outlives that time when nobody is there to judge. When a map is
  // full the flow's packets go on being held, each judged by itself.
  void pass_from_now_on(const packet::Flow& flow, std::chrono::nanoseconds judge_again_after);
  void drop_from_now_on(const packet::Flow& flow, std::chrono::nanoseconds judge_again_after);
  void forget(const packet::Flow& flow);  // the next packet is held
  // Opens the crash switch: packets are no longer held. For good.
  void stop_holding() { handles_.tails.close(); }
  // No verdict given so far counts any more.
  void begin_generation();

  // Call when nothing was to be received for kSettleTime: corrects the gates of flows whose packets
  // were lost. A packet that arrives this very moment can leave a gate closed; it opens when the
  // flow is judged the next time.
  void settle();
  bool has_unsettled() const { return !unsettled_.empty() || unreturned_; }

  std::uint64_t lost() const { return lost_; }
  std::uint64_t map_full() const { return map_full_; }
  xf_counters counters() const;

 private:
  bool is_empty() const;
  void write_agent();

  AgentHandles handles_;
  std::string netdev_;
  std::vector<std::byte> buffer_;
  xf_agent agent_{};
  std::vector<xf_flow>
      unsettled_;            // given a pass verdict while packets of theirs may be on the way
  bool unreturned_ = false;  // packets were received since the last settle()
  std::uint64_t lost_ = 0;
  std::uint64_t map_full_ = 0;
};

}  // namespace xfilter::datapath
