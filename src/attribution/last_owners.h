// SPDX-License-Identifier: Apache-2.0
// attribution/last_owners.h: who owned a flow when it was last known.
//
// After close() the kernel goes on sending for a socket that nobody holds: the rest of the data,
// FIN, answers from TIME_WAIT. Bounded: the flow whose owner was known longest ago goes first.
// Threads: one. Cost: constant.
#pragma once

#include <list>
#include <unordered_map>

#include "model/owner.h"
#include "packet/flow.h"

namespace xfilter::attribution {

class LastOwners {
 public:
  explicit LastOwners(std::size_t capacity) : capacity_(capacity) {}

  // None if it never was known, or is forgotten.
  const model::Owner* find(const packet::Flow& flow) const;
  void put(const packet::Flow& flow, const model::Owner& owner);
  void forget(const packet::Flow& flow);

 private:
  struct Known {
    packet::Flow flow;
    model::Owner owner;
  };
  std::size_t capacity_;
  std::list<Known> by_age_;  // known last comes first
  std::unordered_map<packet::Flow, std::list<Known>::iterator, packet::FlowHash> by_flow_;
};

}  // namespace xfilter::attribution
