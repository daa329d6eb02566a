// SPDX-License-Identifier: Apache-2.0
#include "engine/event.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

#include "engine/owner_json.h"

namespace xfilter::engine {
namespace {

std::string utc(std::chrono::system_clock::time_point time) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)),
                     milliseconds.count() % 1000);
}

nlohmann::ordered_json place_json(const policy::Rule& rule) {
  return {{"file", rule.place.file}, {"line", rule.place.line}, {"text", rule.place.text}};
}

}  // namespace

std::string verdict_event(std::chrono::system_clock::time_point time, const packet::Flow& flow,
                          const model::Owner& owner, const policy::Verdict& verdict,
                          std::chrono::nanoseconds spent) {
  nlohmann::ordered_json event = {
      {"time", utc(time)},
      {"event", "verdict"},
      {"flow",
       {{"protocol", packet::protocol_name(flow.protocol)},
        {"src", packet::to_string(flow.src)},
        {"src_port", flow.src_port},
        {"dst", packet::to_string(flow.dst)},
        {"dst_port", flow.dst_port},
        {"vlan", flow.vlan}}},
      {"owner", to_json(owner)},
      {"rule", place_json(*verdict.rule)},
      {"verdict", model::to_string(verdict.action)},
      {"microseconds", static_cast<double>(spent.count() / 100) / 10.0}};
  for (const policy::Rule* rule : verdict.observed) {
    auto observed = place_json(*rule);
    observed["verdict"] = model::to_string(rule->action);
    event["observed"].push_back(std::move(observed));
  }
  return event.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace xfilter::engine
