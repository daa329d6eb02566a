// SPDX-License-Identifier: Apache-2.0
#include "engine/flow_table.h"

namespace xfilter::engine {

const JudgedFlow* FlowTable::find(const packet::Flow& flow) const {
  const auto found = by_flow_.find(flow);
  return found == by_flow_.end() ? nullptr : &*found->second;
}

std::optional<packet::Flow> FlowTable::put(JudgedFlow judged) {
  if (const auto known = by_flow_.find(judged.packet.flow); known != by_flow_.end()) {
    *known->second = std::move(judged);
    by_age_.splice(by_age_.begin(), by_age_, known->second);
    return std::nullopt;
  }
  by_age_.push_front(std::move(judged));
  by_flow_[by_age_.front().packet.flow] = by_age_.begin();
  if (by_flow_.size() <= capacity_) return std::nullopt;
  const packet::Flow oldest = by_age_.back().packet.flow;
  by_flow_.erase(oldest);
  by_age_.pop_back();
  return oldest;
}

void FlowTable::clear() {
  by_flow_.clear();
  by_age_.clear();
}

}  // namespace xfilter::engine
