// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/landmarks.h: what there is to read in an undamaged guest.
#pragma once

#include <vector>

#include "guest/linux/socket_tables.h"
#include "guest/linux/task.h"

namespace xfilter::fuzz {

inline std::vector<guest::linux::Task> tasks_of(const guest::linux::View& view) {
  std::vector<guest::linux::Task> tasks;
  Budget budget(guest::linux::kMostTasks);
  (void)guest::linux::walk_processes(view, budget, [&](guest::VirtAddr at) -> Result<void> {
    XF_TRY(task, guest::linux::read_task(view, at));
    tasks.push_back(std::move(task));
    return {};
  });
  return tasks;
}

struct Sighting {
  std::uint8_t protocol = 0;
  guest::linux::SocketTuple tuple;
};

inline std::vector<Sighting> sockets_of(const guest::linux::View& view) {
  std::vector<Sighting> sockets;
  Budget budget(1'000'000);
  (void)guest::linux::SocketTables(view).sweep(
      guest::linux::init_net(view).value(), budget,
      [&](std::uint8_t protocol, const guest::linux::SocketTuple& tuple) -> Result<void> {
        sockets.push_back({protocol, tuple});
        return {};
      });
  return sockets;
}

// What the socket would send to its peer.
inline packet::Flow flow_from(const Sighting& socket) {
  packet::Flow flow;
  flow.protocol = socket.protocol;
  flow.src = socket.tuple.local.unmapped();
  flow.dst = socket.tuple.remote.unmapped();
  flow.src_port = socket.tuple.local_port;
  flow.dst_port = socket.tuple.remote_port;
  return flow;
}

}  // namespace xfilter::fuzz
