// SPDX-License-Identifier: Apache-2.0
// engine/inventory.h: everything there is to see in a guest: its processes, and its sockets with
// their owners. The walk of everything behind `xfilter ps` and `xfilter sockets`, and the oracle of
// tests.
//
// A guest that runs changes meanwhile: a process that ended while it was read is left out.
// Order: processes by pid; sockets by protocol, addresses and inode, so that the same memory gives
// the same output.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "guest/linux/socket_tables.h"
#include "guest/linux/task.h"
#include "packet/parse.h"

namespace xfilter::engine {

struct ProcessEntry {
  guest::linux::Task task;
  guest::linux::Cred cred;
  std::int32_t parent_pid = 0;
  std::vector<std::int32_t> tids;  // ascending
  std::string exe;
  std::vector<std::string> cmdline;
};

struct SocketHolder {
  std::int32_t pid = 0;
  std::uint32_t fd = 0;
  std::string comm;
};
struct SocketEntry {
  std::uint8_t protocol = 0;
  guest::linux::SocketTuple tuple;
  guest::linux::SocketFile file;  // zeros for TIME_WAIT and request sockets
  std::uint32_t netns = 0;
  std::vector<SocketHolder> holders;
};

Result<std::vector<ProcessEntry>> list_processes(const guest::linux::View& view);
Result<std::vector<SocketEntry>> list_sockets(const guest::linux::View& view);

// The packet that the socket would send to its peer: what a look-up by tuple starts from.
packet::Packet packet_from(const SocketEntry& socket);

// The JSON forms of docs/output.md.
nlohmann::json to_json(const std::vector<ProcessEntry>& processes, const std::string& banner);
nlohmann::json to_json(const std::vector<SocketEntry>& sockets);

}  // namespace xfilter::engine
