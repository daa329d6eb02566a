// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "engine/inventory.h"
#include "programs/guest_commands.h"
#include "programs/guest_options.h"
#include "programs/table.h"

namespace xfilter::programs {
namespace {

using guest::linux::SocketKind;

std::string endpoint(const packet::IpAddress& address, std::uint16_t port) {
  const std::string port_text = port == 0 ? "*" : std::to_string(port);
  if (address.family == packet::IpAddress::Family::v6)
    return fmt::format("[{}]:{}", packet::to_string(address), port_text);
  return fmt::format("{}:{}", packet::to_string(address), port_text);
}

// The first holder, and how many processes more; JSON has them all, with their descriptors.
std::string owners_of(const engine::SocketEntry& socket) {
  if (socket.holders.empty()) return "";
  std::set<std::int32_t> pids;
  for (const auto& holder : socket.holders) pids.insert(holder.pid);
  const auto& first = socket.holders.front();
  const std::string others = pids.size() > 1 ? fmt::format(" +{}", pids.size() - 1) : "";
  return fmt::format("{}[{}]{}", first.comm, first.pid, others);
}

// Others than TCP have no state: connected or not, as ss says it.
const char* state_of(const engine::SocketEntry& socket) {
  if (socket.tuple.kind == SocketKind::tcp) return guest::linux::to_string(socket.tuple.state);
  return socket.tuple.remote_port != 0 ? "ESTAB" : "UNCONN";
}

int show(engine::Guest& guest, Shape shape) {
  auto sockets = engine::list_sockets(guest.view());
  if (!sockets) return report(sockets.error());
  if (shape == Shape::json) {
    fmt::print("{}\n", engine::to_json(*sockets).dump(2));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {
      {"PROTO", "STATE", "LOCAL", "REMOTE", "UID", "OWNERS"}};
  for (const auto& socket : *sockets)
    rows.push_back({to_string(socket.tuple.kind), state_of(socket),
                    endpoint(socket.tuple.local, socket.tuple.local_port),
                    endpoint(socket.tuple.remote, socket.tuple.remote_port),
                    socket.tuple.is_full() ? std::to_string(socket.file.uid) : "-",
                    owners_of(socket)});
  print_table(rows);
  return 0;
}

}  // namespace

void add_sockets_command(CLI::App& app, int& exit_code) {
  add_view_command(app, "sockets", "list the guest's sockets with their owners", show, exit_code);
}

}  // namespace xfilter::programs
