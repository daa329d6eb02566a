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

#include "engine/owner_json.h"
#include "guest/linux/socket_tables.h"
#include "model/owner.h"
#include "packet/parse.h"

namespace xfilter::engine {

struct ProcessEntry {
  model::Process process;
  std::vector<std::int32_t> tids;  // ascending
  bool is_kernel_thread = false;
};
struct ProcessList {
  std::string kernel;  // its banner
  std::optional<std::string> boot_id;
  std::vector<ProcessEntry> processes;
  std::optional<Error> incomplete;  // a structure that could not be read to its end
};

struct SocketHolder {
  std::int32_t pid = 0;
  std::uint32_t fd = 0;
  std::string comm;
};
struct SocketEntry {
  guest::linux::SocketTuple tuple;
  guest::linux::SocketFile file;   // zeros for TIME_WAIT and request sockets
  std::uint64_t inode = 0;         // 0 without a file
  guest::linux::TcpWindow window;  // of TCP alone
  std::uint16_t next_ip_id = 0;    // of connected datagram sockets alone
  std::uint32_t netns = 0;
  std::vector<SocketHolder> holders;
};

ProcessList list_processes(const guest::linux::View& view);
Result<std::vector<SocketEntry>> list_sockets(const guest::linux::View& view);

// A packet that the socket could send to its peer now: what a look-up by tuple starts from.
packet::Packet packet_from(const SocketEntry& socket);

// The JSON forms of docs/output.md.
nlohmann::json to_json(const ProcessList& list, CommandLines command_lines);
nlohmann::json to_json(const std::vector<SocketEntry>& sockets);

}  // namespace xfilter::engine
