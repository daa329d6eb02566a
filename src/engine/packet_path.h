// SPDX-License-Identifier: Apache-2.0
// engine/packet_path.h: the life of a held packet: parsed, attributed, judged, released or dropped.
//
// The one place where attribution, policy and datapath meet. Read handle() in packet_path.cpp from
// top to bottom. Threads: one, the agent's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "datapath/punt_queue.h"
#include "engine/event.h"
#include "engine/flow_table.h"
#include "policy/policy.h"

namespace xfilter::engine {

// By which rules age: seconds of CLOCK_BOOTTIME, which no one sets and which goes on in suspend.
std::chrono::seconds rule_clock();

class PacketPath {
 public:
  using OwnerOf = std::function<model::Owner(const packet::Packet&)>;
  using Line = std::function<void(std::string)>;
  // `on_event` gets a line for each flow that is new or whose verdict changed. A policy has to be
  // put in force before the first packet.
  PacketPath(OwnerOf owner_of, CommandLines command_lines, Line on_event);

  // From the next packet on. Flows that are known are judged again by what is known of them; those
  // whose verdict is another now are forgotten in the kernel, so that their next packet comes here.
  struct JudgedAgain {
    std::size_t flows = 0, changed = 0;
  };
  JudgedAgain put_in_force(std::shared_ptr<const policy::Policy> policy, Mode mode);
  const policy::Policy& policy() const { return *policy_; }
  Mode mode() const { return mode_; }

  // How often each rule fitted a packet that was judged here, since it was put in force; in the
  // order of policy().rules(), then the default.
  const std::vector<std::uint64_t>& hits() const { return hits_; }
  std::vector<std::uint64_t> take_hits() {  // and begin with none again
    return std::exchange(hits_, std::vector<std::uint64_t>(hits_.size()));
  }
  struct Counters {
    std::uint64_t passed = 0, dropped = 0;
    std::uint64_t would_drop = 0;  // of those passed: in mode observe
  };
  const Counters& counters() const { return counters_; }
  const FlowTable& flows() const { return flows_; }

  // Without caching every packet is judged here: for tests that compare.
  enum class Caching { off, on };
  void set_caching(Caching caching) { caching_ = caching; }

  void add_queue(datapath::PuntQueue queue) { queues_.push_back(std::move(queue)); }
  std::vector<datapath::PuntQueue>& queues() { return queues_; }
  const std::vector<datapath::PuntQueue>& queues() const { return queues_; }

  // Serves what waits in the queue, at most some packets at a time; false when it was empty.
  bool serve(datapath::PuntQueue& queue);

  // Nothing that was said so far counts any longer.
  void begin_generation();

 private:
  void handle(datapath::PuntQueue& queue, const datapath::PuntQueue::HeldPacket& held);
  model::Action done_of(const policy::Verdict& verdict) const;
  void count(const policy::Verdict& verdict, model::Action action);
  void remember(datapath::PuntQueue& queue, const packet::Packet& packet, model::Owner owner,
                model::Action action, std::size_t rules_digest);

  OwnerOf owner_of_;
  CommandLines command_lines_;  // in events
  Line on_event_;
  std::shared_ptr<const policy::Policy> policy_;
  Mode mode_ = Mode::enforce;
  Caching caching_ = Caching::on;
  std::vector<std::uint64_t> hits_;
  Counters counters_;
  std::vector<datapath::PuntQueue> queues_;
  FlowTable flows_;
};

}  // namespace xfilter::engine
