// SPDX-License-Identifier: Apache-2.0
// engine/flow_table.h: what the agent knows of the flows it has judged. The kernel's maps are its
// copy.
//
// Bounded: the flow that was judged longest ago goes first, and is then forgotten in the kernel
// too. Threads: one. Cost: constant.
#pragma once

#include <list>
#include <optional>
#include <unordered_map>

#include "model/owner.h"
#include "model/verdict.h"
#include "packet/parse.h"

namespace xfilter::engine {

// A flow, by the last packet of it that was judged: as much as it takes to judge it again.
struct JudgedFlow {
  packet::Packet packet;
  model::Owner owner;
  std::string netdev;
  model::Action action = model::Action::pass;  // what is done with its packets
  std::size_t rules_digest = 0;  // to see a change: the rule that decided, those only observed
};

class FlowTable {
 public:
  explicit FlowTable(std::size_t capacity) : capacity_(capacity) {}

  // None if the flow was never judged, or is forgotten.
  const JudgedFlow* find(const packet::Flow& flow) const;
  // Keeps `judged`; returns the flow that had to go for it.
  std::optional<packet::Flow> put(JudgedFlow judged);
  const std::list<JudgedFlow>& all() const { return by_age_; }  // judged last comes first
  void clear();
  std::size_t size() const { return by_flow_.size(); }

 private:
  std::size_t capacity_;
  std::list<JudgedFlow> by_age_;  // judged last comes first
  std::unordered_map<packet::Flow, std::list<JudgedFlow>::iterator, packet::FlowHash> by_flow_;
};

}  // namespace xfilter::engine
