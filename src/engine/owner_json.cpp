// SPDX-License-Identifier: Apache-2.0
#include "engine/owner_json.h"

namespace xfilter::engine {
namespace {

using nlohmann::json;

json list_of(const std::vector<model::ProcessRef>& processes, CommandLines command_lines) {
  json list = json::array();
  for (const model::ProcessRef& process : processes)
    list.push_back(to_json(*process, command_lines));
  return list;
}

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

}  // namespace

std::string printable(const std::string& text) {
  const std::string dumped = json(text).dump(-1, ' ', true, json::error_handler_t::replace);
  return json::parse(dumped).get<std::string>();
}

json to_json(const model::Process& process, CommandLines command_lines) {
  json cmdline = nullptr;
  if (command_lines == CommandLines::shown) {
    cmdline = json::array();
    for (const std::string& argument : process.cmdline) cmdline.push_back(printable(argument));
  }
  json parents = json::array();
  for (const model::Ancestor& parent : process.parents)
    parents.push_back({{"pid", parent.id.pid},
                       {"start_boottime_ns", parent.id.start_boottime.count()},
                       {"comm", printable(parent.comm)},
                       {"exe", printable(parent.exe)}});
  return {{"pid", process.id.pid},
          {"start_boottime_ns", process.id.start_boottime.count()},
          {"ppid", process.parents.empty() ? 0 : process.parents.front().id.pid},
          {"parents", std::move(parents)},
          {"uid", process.uid},
          {"gid", process.gid},
          {"real_uid", process.real_uid},
          {"real_gid", process.real_gid},
          {"session", process.session},
          {"audit_session", or_null(process.audit_session)},
          {"comm", printable(process.comm)},
          {"exe", printable(process.exe)},
          {"exe_deleted", process.exe_is_deleted},
          {"cmdline", std::move(cmdline)},
          {"cgroup", printable(process.cgroup)},
          {"container", printable(process.container)},
          {"hostname", printable(process.hostname)},
          {"netns", process.netns},
          {"ns_pid", process.ns_pid},
          {"hidden", process.is_hidden}};
}

json to_json(const model::Owner& owner, CommandLines command_lines) {
  return {{"confidence", model::to_string(owner.confidence)},
          {"reason", owner.reason},
          {"socket_uid", or_null(owner.socket_uid)},
          {"processes", list_of(owner.processes, command_lines)},
          {"alternatives", list_of(owner.alternatives, command_lines)}};
}

}  // namespace xfilter::engine
