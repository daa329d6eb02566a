// SPDX-License-Identifier: Apache-2.0
#include "attribution/last_owners.h"

namespace xfilter::attribution {

const model::Owner* LastOwners::find(const packet::Flow& flow) const {
  const auto found = by_flow_.find(flow);
  return found == by_flow_.end() ? nullptr : &found->second->owner;
}

void LastOwners::put(const packet::Flow& flow, const model::Owner& owner) {
  if (const auto known = by_flow_.find(flow); known != by_flow_.end()) {
    by_age_.splice(by_age_.begin(), by_age_, known->second);
    if (known->second->owner.processes != owner.processes) known->second->owner = owner;
    return;
  }
  by_age_.push_front({flow, owner});
  by_flow_[flow] = by_age_.begin();
  if (by_flow_.size() <= capacity_) return;
  by_flow_.erase(by_age_.back().flow);
  by_age_.pop_back();
}

void LastOwners::forget(const packet::Flow& flow) {
  const auto found = by_flow_.find(flow);
  if (found == by_flow_.end()) return;
  by_age_.erase(found->second);
  by_flow_.erase(found);
}

}  // namespace xfilter::attribution
