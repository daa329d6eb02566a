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

#include "attribution/attributor.h"
#include "datapath/punt_queue.h"
#include "engine/flow_table.h"
#include "engine/guest.h"
#include "engine/owner_json.h"
#include "policy/policy.h"

namespace xfilter::engine {

class PacketPath {
 public:
  // Everything is borrowed. `on_event` gets a line for each flow that is new or whose verdict
  // changed; `on_note` a sentence for people.
  using Line = std::function<void(std::string)>;
  PacketPath(Guest& guest, const policy::Policy& policy, CommandLines command_lines, Line on_event,
             Line on_note);

  void add_queue(datapath::PuntQueue queue) { queues_.push_back(std::move(queue)); }
  std::vector<datapath::PuntQueue>& queues() { return queues_; }

  // Serves what waits in the queue, at most some packets at a time; false when it was empty.
  bool serve(datapath::PuntQueue& queue);

  // What is done beside packets, a little at each call.
  void observe_guest();

  // Checks that the guest's kernel is still the one we know, and looks for it when not.
  void watch_guest();

 private:
  void handle(datapath::PuntQueue& queue, const datapath::PuntQueue::HeldPacket& held);
  model::Owner find_owner(const packet::Packet& packet);
  void remember(datapath::PuntQueue& queue, const packet::Packet& packet, const model::Owner& owner,
                const policy::Verdict& verdict, std::size_t rules_digest);
  void lose_guest(const Error& error);

  Guest& guest_;
  const policy::Policy& policy_;
  std::chrono::steady_clock::time_point loaded_ = std::chrono::steady_clock::now();  // the policy
  CommandLines command_lines_;                                                       // in events
  Line on_event_, on_note_;
  std::vector<datapath::PuntQueue> queues_;
  std::unique_ptr<attribution::Attributor> attributor_;
  FlowTable flows_;
  std::chrono::steady_clock::time_point
      checked_{};  // when the guest's kernel was last seen in place
};

}  // namespace xfilter::engine
