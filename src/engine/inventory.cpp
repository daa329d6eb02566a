// SPDX-License-Identifier: Apache-2.0
#include "engine/inventory.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "guest/linux/holders.h"
#include "guest/linux/namespaces.h"
#include "guest/linux/process.h"

namespace xfilter::engine {
namespace {

using namespace guest::linux;
using guest::VirtAddr;

// Many times an honest guest's; a walk that needs more says so.
constexpr std::uint64_t kWalkSteps = 20'000'000;
constexpr std::uint64_t kMostNets = 100'000;

// One process, or an error if it ended while we read it.
Result<ProcessEntry> read_entry(const View& view, VirtAddr at, Budget& budget) {
  ProcessEntry entry;
  XF_TRY(task, read_task(view, at));
  entry.is_kernel_thread = task.is_kernel_thread;
  XF_CHECK(walk_threads(view, task, budget, [&](VirtAddr thread) -> Result<void> {
    XF_TRY(tid, view.read<std::int32_t>(thread, view.layout().task_pid));
    entry.tids.push_back(tid);
    return {};
  }));
  std::sort(entry.tids.begin(), entry.tids.end());
  XF_TRY(process, read_process(view, task, budget));
  entry.process = std::move(process);
  return entry;
}

Result<SocketEntry> read_socket(const View& view, const SocketTuple& tuple) {
  SocketEntry entry;
  entry.tuple = tuple;
  XF_TRY(net, read_net(view, tuple.net));
  entry.netns = net.inum;
  if (tuple.is_full()) {
    XF_TRY(file, read_socket_file(view, tuple.at));
    entry.file = file;
    if (file.file) {
      XF_TRY(inode, read_inode_number(view, file.file));
      entry.inode = inode;
    }
    if (tuple.kind == SocketKind::tcp) {
      XF_TRY(window, read_tcp_window(view, tuple.at));
      entry.window = window;
    } else if (!tuple.remote.is_unspecified()) {
      XF_TRY(next_ip_id, read_next_ip_id(view, tuple.at));
      entry.next_ip_id = next_ip_id;
    }
  }
  return entry;
}

std::uint8_t protocol_of(const SocketTuple& tuple) {
  switch (tuple.kind) {
    case SocketKind::tcp:
      return packet::protocol::tcp;
    case SocketKind::udp:
      return packet::protocol::udp;
    case SocketKind::ping:
      return tuple.is_ipv6_socket ? packet::protocol::icmpv6 : packet::protocol::icmp;
    case SocketKind::raw:
      return static_cast<std::uint8_t>(tuple.local_port);
    case SocketKind::packet:
      return 0;
  }
  return 0;
}

auto sort_key(const SocketEntry& entry) {
  return std::make_tuple(entry.tuple.kind, entry.netns, entry.tuple.local_port, entry.tuple.local,
                         entry.tuple.remote_port, entry.tuple.remote, entry.tuple.state,
                         entry.inode, entry.tuple.at);
}

}  // namespace

ProcessList list_processes(const View& view) {
  ProcessList list;
  Budget budget(kWalkSteps);
  Leaders leaders = find_leaders(view, Search::everywhere, budget);
  list.incomplete = std::move(leaders.incomplete);
  for (const VirtAddr leader : leaders.all) {
    Budget threads(kMostTasks);
    auto entry = read_entry(view, leader, threads);
    if (entry) list.processes.push_back(std::move(*entry));
  }
  std::sort(
      list.processes.begin(), list.processes.end(),
      [](const ProcessEntry& a, const ProcessEntry& b) { return a.process.id < b.process.id; });
  if (auto boot_id = read_boot_id(view)) list.boot_id = std::move(*boot_id);
  list.kernel = view.profile().banner;
  return list;
}

Result<std::vector<SocketEntry>> list_sockets(const View& view) {
  Budget budget(kWalkSteps);
  const Holders holders = walk_holders(view, Search::everywhere, budget);
  std::unordered_map<std::uint64_t, std::vector<SocketHolder>> by_file;
  for (const Holder& holder : holders.all)
    by_file[holder.file.value].push_back({holder.process.pid, holder.fd, holder.process.comm});

  std::vector<SocketEntry> sockets;
  std::unordered_set<std::uint64_t> seen;  // tables are shared by namespaces
  XF_TRY(nets, walk_nets(view, Budget(kMostNets)));
  for (const Net& net : nets) {
    SocketTables tables(view);
    XF_CHECK(tables.sweep(net.at, budget, [&](const SocketTuple& tuple) -> Result<void> {
      if (!seen.insert(tuple.at.value).second) return {};
      auto entry = read_socket(view, tuple);
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
  packet.flow.protocol = protocol_of(socket.tuple);
  packet.flow.src = socket.tuple.local.unmapped();
  packet.flow.dst = socket.tuple.remote.unmapped();
  packet.flow.src_port = socket.tuple.local_port;
  packet.flow.dst_port = socket.tuple.remote_port;
  if (socket.tuple.kind == SocketKind::tcp) {
    packet.tcp_flags = packet::TcpFlags::ack;
    packet.tcp_sequence = socket.window.snd_nxt;
    packet.tcp_acknowledgement = socket.window.rcv_nxt;
  }
  packet.ip_id = socket.next_ip_id;
  return packet;
}

nlohmann::json to_json(const ProcessList& list, CommandLines command_lines) {
  nlohmann::json processes = nlohmann::json::array();
  for (const ProcessEntry& entry : list.processes) {
    nlohmann::json process = to_json(entry.process, command_lines);
    process["tids"] = entry.tids;
    process["kernel_thread"] = entry.is_kernel_thread;
    processes.push_back(std::move(process));
  }
  return {{"kernel", printable(list.kernel)},
          {"boot_id", list.boot_id ? nlohmann::json(*list.boot_id) : nlohmann::json(nullptr)},
          {"complete", !list.incomplete},
          {"processes", std::move(processes)}};
}

nlohmann::json to_json(const std::vector<SocketEntry>& sockets) {
  nlohmann::json list = nlohmann::json::array();
  for (const SocketEntry& entry : sockets) {
    nlohmann::json holders = nlohmann::json::array();
    for (const SocketHolder& holder : entry.holders)
      holders.push_back({{"pid", holder.pid}, {"fd", holder.fd}, {"comm", printable(holder.comm)}});
    const bool is_packet = entry.tuple.kind == SocketKind::packet;
    list.push_back({{"protocol", to_string(entry.tuple.kind)},
                    {"family", is_packet                    ? "packet"
                               : entry.tuple.is_ipv6_socket ? "ipv6"
                                                            : "ipv4"},
                    {"state", to_string(entry.tuple.state)},
                    {"local_address", packet::to_string(entry.tuple.local)},
                    {"local_port", entry.tuple.local_port},
                    {"remote_address", packet::to_string(entry.tuple.remote)},
                    {"remote_port", entry.tuple.remote_port},
                    {"uid", entry.file.uid},
                    {"inode", entry.inode},
                    {"netns", entry.netns},
                    {"holders", std::move(holders)}});
  }
  return {{"sockets", std::move(list)}};
}

}  // namespace xfilter::engine
