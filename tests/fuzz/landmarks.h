// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/landmarks.h: what there is to read in an undamaged guest.
#pragma once

#include <vector>

#include "guest/linux/processes.h"
#include "guest/linux/socket_tables.h"
#include "guest/linux/task.h"
#include "packet/parse.h"

namespace xfilter::fuzz {

inline std::vector<guest::linux::Task> tasks_of(const guest::linux::View& view) {
  std::vector<guest::linux::Task> tasks;
  Budget budget(guest::linux::kMostTasks);
  for (const auto at :
       guest::linux::find_leaders(view, guest::linux::Search::task_list, budget).all)
    if (auto task = guest::linux::read_task(view, at)) tasks.push_back(std::move(*task));
  return tasks;
}

inline std::vector<guest::linux::SocketTuple> sockets_of(const guest::linux::View& view) {
  std::vector<guest::linux::SocketTuple> sockets;
  Budget budget(1'000'000);
  (void)guest::linux::SocketTables(view).sweep(
      view.init_net(), budget, [&](const guest::linux::SocketTuple& tuple) -> Result<void> {
        sockets.push_back(tuple);
        return {};
      });
  return sockets;
}

// What the socket would send to its peer.
inline packet::Packet packet_from(const guest::linux::SocketTuple& socket) {
  packet::Packet packet;
  packet.kind = packet::Kind::ip;
  packet.flow.src = socket.local.unmapped();
  packet.flow.dst = socket.remote.unmapped();
  packet.flow.src_port = socket.local_port;
  packet.flow.dst_port = socket.remote_port;
  switch (socket.kind) {
    case guest::linux::SocketKind::tcp:
      packet.flow.protocol = packet::protocol::tcp;
      break;
    case guest::linux::SocketKind::udp:
      packet.flow.protocol = packet::protocol::udp;
      break;
    case guest::linux::SocketKind::ping:
      packet.flow.protocol = packet::protocol::icmp;
      packet.flow.dst_port = 0;
      packet.icmp_type = 8;  // an echo request
      break;
    case guest::linux::SocketKind::raw:
    case guest::linux::SocketKind::packet:
      packet.flow.protocol = 132;  // SCTP: nobody else sends it
      packet.flow.src_port = packet.flow.dst_port = 0;
      break;
  }
  return packet;
}

}  // namespace xfilter::fuzz
