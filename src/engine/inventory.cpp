// SPDX-License-Identifier: Apache-2.0
#include "engine/inventory.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "guest/linux/holders.h"

namespace xfilter::engine {
namespace {

using namespace guest::linux;
using guest::VirtAddr;

// Many times an honest guest's; a walk that needs more says so.
constexpr std::uint64_t kWalkSteps = 20'000'000;
constexpr std::uint64_t kMostNets = 100'000;

// One process, or an error if it ended while we read it.
Result<ProcessEntry> read_process(const View& view, VirtAddr at, Budget& budget) {
  ProcessEntry entry;
  XF_TRY(task, read_task(view, at));
  entry.task = std::move(task);
  XF_TRY(cred, read_cred(view, entry.task));
  entry.cred = cred;
  XF_TRY(parent, read_parent_pid(view, entry.task));
  entry.parent_pid = parent;
  XF_CHECK(walk_threads(view, entry.task, budget, [&](VirtAddr thread) -> Result<void> {
    XF_TRY(tid, view.read<std::int32_t>(thread, view.layout().task_pid));
    entry.tids.push_back(tid);
    return {};
  }));
  std::sort(entry.tids.begin(), entry.tids.end());
  XF_TRY(exe, read_exe(view, entry.task));
  entry.exe = std::move(exe);
  XF_TRY(cmdline, read_cmdline(view, entry.task));
  entry.cmdline = std::move(cmdline);
  return entry;
}

Result<SocketEntry> read_socket(const View& view, std::uint8_t protocol, const SocketTuple& tuple) {
  SocketEntry entry;
  entry.protocol = protocol;
  entry.tuple = tuple;
  XF_TRY(net, read_net(view, tuple.net));
  entry.netns = net.inum;
  if (tuple.is_full()) {
    XF_TRY(file, read_socket_file(view, tuple.at));
    entry.file = file;
  }
  return entry;
}

auto sort_key(const SocketEntry& entry) {
  return std::make_tuple(entry.protocol, entry.netns, entry.tuple.local_port, entry.tuple.local,
                         entry.tuple.remote_port, entry.tuple.remote, entry.tuple.state,
                         entry.file.inode, entry.tuple.at);
}

// The guest's bytes as JSON text: what is not UTF-8 is replaced.
std::string printable(const std::string& text) {
  const std::string dumped =
      nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(dumped).get<std::string>();
}

}  // namespace

Result<std::vector<ProcessEntry>> list_processes(const View& view) {
  std::vector<ProcessEntry> processes;
  Budget budget(kMostTasks);
  XF_CHECK(walk_processes(view, budget, [&](VirtAddr at) -> Result<void> {
    Budget threads(kMostTasks);
    auto entry = read_process(view, at, threads);
    if (entry) processes.push_back(std::move(*entry));
    return {};
  }));
  std::sort(processes.begin(), processes.end(),
            [](const ProcessEntry& a, const ProcessEntry& b) { return a.task.pid < b.task.pid; });
  return processes;
}

Result<std::vector<SocketEntry>> list_sockets(const View& view) {
  Budget budget(kWalkSteps);
  XF_TRY(holders, walk_holders(view, budget));
  std::unordered_map<std::uint64_t, std::vector<SocketHolder>> by_file;
  for (const Holder& holder : holders.all)
    by_file[holder.file.value].push_back({holder.process.pid, holder.fd, holder.process.comm});

  std::vector<SocketEntry> sockets;
  std::unordered_set<std::uint64_t> seen;  // tables are shared by namespaces
  XF_TRY(nets, walk_nets(view, Budget(kMostNets)));
  for (const Net& net : nets) {
    SocketTables tables(view);
    XF_CHECK(tables.sweep(net.at, budget,
                          [&](std::uint8_t protocol, const SocketTuple& tuple) -> Result<void> {
                            if (!seen.insert(tuple.at.value).second) return {};
                            auto entry = read_socket(view, protocol, tuple);
                            if (!entry) return {};
                            if (entry->file.file) entry->holders = by_file[entry->file.file.value];
                            sockets.push_back(std::move(*entry));
                            return {};
                          }));
  }
  std::sort(sockets.begin(), sockets.end(),
            [](const SocketEntry& a, const SocketEntry& b) { return sort_key(a) < sort_key(b); });
  return sockets;
}

packet::Packet packet_from(const SocketEntry& socket) {
  packet::Packet packet;
  packet.kind = packet::Kind::ip;
  packet.flow.protocol = socket.protocol;
  packet.flow.src = socket.tuple.local.unmapped();
  packet.flow.dst = socket.tuple.remote.unmapped();
  packet.flow.src_port = socket.tuple.local_port;
  packet.flow.dst_port = socket.tuple.remote_port;
  return packet;
}

nlohmann::json to_json(const std::vector<ProcessEntry>& processes, const std::string& banner) {
  nlohmann::json list = nlohmann::json::array();
  for (const ProcessEntry& entry : processes) {
    nlohmann::json cmdline = nlohmann::json::array();
    for (const std::string& argument : entry.cmdline) cmdline.push_back(printable(argument));
    list.push_back({{"pid", entry.task.pid},
                    {"ppid", entry.parent_pid},
                    {"tids", entry.tids},
                    {"start_boottime_ns", entry.task.start_boottime.count()},
                    {"uid", entry.cred.uid},
                    {"euid", entry.cred.euid},
                    {"gid", entry.cred.gid},
                    {"egid", entry.cred.egid},
                    {"comm", printable(entry.task.comm)},
                    {"exe", printable(entry.exe)},
                    {"cmdline", std::move(cmdline)},
                    {"kernel_thread", entry.task.is_kernel_thread}});
  }
  return {{"kernel", printable(banner)}, {"processes", std::move(list)}};
}

nlohmann::json to_json(const std::vector<SocketEntry>& sockets) {
  nlohmann::json list = nlohmann::json::array();
  for (const SocketEntry& entry : sockets) {
    nlohmann::json holders = nlohmann::json::array();
    for (const SocketHolder& holder : entry.holders)
      holders.push_back({{"pid", holder.pid}, {"fd", holder.fd}, {"comm", printable(holder.comm)}});
    list.push_back({{"protocol", packet::protocol_name(entry.protocol)},
                    {"family", entry.tuple.is_ipv6_socket ? "ipv6" : "ipv4"},
                    {"state", to_string(entry.tuple.state)},
                    {"local_address", packet::to_string(entry.tuple.local)},
                    {"local_port", entry.tuple.local_port},
                    {"remote_address", packet::to_string(entry.tuple.remote)},
                    {"remote_port", entry.tuple.remote_port},
                    {"uid", entry.file.uid},
                    {"inode", entry.file.inode},
                    {"netns", entry.netns},
                    {"holders", std::move(holders)}});
  }
  return {{"sockets", std::move(list)}};
}

}  // namespace xfilter::engine
