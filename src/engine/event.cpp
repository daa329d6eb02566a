// SPDX-License-Identifier: Apache-2.0
#include "engine/event.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

#include "packet/community_id.h"

namespace xfilter::engine {
namespace {

std::string utc(std::chrono::system_clock::time_point time) {
  const auto micro = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch());
  return fmt::format("{:%FT%T}.{:06}+0000", fmt::gmtime(std::chrono::system_clock::to_time_t(time)),
                     micro.count() % 1'000'000);
}

// As EVE spells it: unknown ones are numbers of three digits.
std::string eve_protocol(std::uint8_t number) {
  switch (number) {
    case packet::protocol::tcp:
      return "TCP";
    case packet::protocol::udp:
      return "UDP";
    case packet::protocol::icmp:
      return "ICMP";
    case packet::protocol::icmpv6:
      return "IPv6-ICMP";
    default:
      return fmt::format("{:03}", number);
  }
}

// What EVE calls the fields of a flow; those that the packet has.
nlohmann::ordered_json flow_json(const packet::Packet& packet) {
  const packet::Flow& flow = packet.flow;
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (flow.vlan != 0) json["vlan"] = {flow.vlan};
  if (!packet.is_ip()) return json;
  const bool is_icmp =
      flow.protocol == packet::protocol::icmp || flow.protocol == packet::protocol::icmpv6;
  json["src_ip"] = packet::to_string(flow.src);
  if (packet.has_ports()) json["src_port"] = flow.src_port;
  json["dest_ip"] = packet::to_string(flow.dst);
  if (packet.has_ports()) json["dest_port"] = flow.dst_port;
  json["proto"] = eve_protocol(flow.protocol);
  if (is_icmp && packet.kind == packet::Kind::ip) {
    json["icmp_type"] = packet.icmp_type;
    json["icmp_code"] = packet.icmp_code;
    if (flow.src_port != 0) json["icmp_id"] = flow.src_port;  // of an echo; EVE has no name for it
  }
  if (const auto id = packet::community_id(packet)) json["community_id"] = *id;
  return json;
}

nlohmann::ordered_json place_json(const policy::Rule& rule) {
  return {{"file", rule.place.file}, {"line", rule.place.line}, {"text", rule.place.text}};
}

}  // namespace

std::string verdict_event(std::chrono::system_clock::time_point time, const Judged& judged,
                          CommandLines command_lines) {
  nlohmann::ordered_json event = {
      {"timestamp", utc(time)}, {"event_type", "verdict"}, {"in_iface", judged.netdev}};
  event.update(flow_json(judged.packet));
  event["guest"] = to_json(judged.owner, command_lines);
  const char* const action = model::to_string(judged.verdict.action);
  if (judged.mode == Mode::observe)
    event["verdict"] = {{"action", model::to_string(model::Action::pass)}, {"would", action}};
  else
    event["verdict"] = {{"action", action}};
  event["rule"] = place_json(*judged.verdict.rule);
  for (const policy::Rule* rule : judged.verdict.observed) {
    auto observed = place_json(*rule);
    observed["action"] = model::to_string(rule->action);
    event["observed"].push_back(std::move(observed));
  }
  event["microseconds"] = static_cast<double>(judged.spent.count() / 100) / 10.0;
  return event.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace xfilter::engine
