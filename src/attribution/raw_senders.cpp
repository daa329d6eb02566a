// SPDX-License-Identifier: Apache-2.0
#include "attribution/raw_senders.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "guest/linux/namespaces.h"

namespace xfilter::attribution {

using guest::VirtAddr;
using model::ProcessRef;
using namespace guest::linux;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kMostNets = 1'000;
constexpr std::size_t kMostSenders = 64;  // of a namespace; the latest are remembered

constexpr std::array<std::string_view, 9> kDhcpClients = {
    "/sbin/dhclient",
    "/usr/sbin/dhclient",
    "/sbin/dhcpcd",
    "/usr/sbin/dhcpcd",
    "/lib/systemd/systemd-networkd",
    "/usr/lib/systemd/systemd-networkd",
    "/usr/sbin/NetworkManager",
    "/usr/bin/NetworkManager",
    "/usr/libexec/nm-dhcp-helper",
};

}  // namespace

// Reads what is open, once a look-up.
RawSenders::Seen& RawSenders::see(VirtAddr net, Budget& budget) {
  if (by_net_.size() > kMostNets) by_net_.clear();
  Seen& seen = by_net_[net.value];
  if (seen.lookup != lookup_ || !seen.open) seen.open = tables_.find_raw(net, budget);
  seen.lookup = lookup_;
  return seen;
}

Result<std::vector<RawSenders::Sender>> RawSenders::in(VirtAddr net, Budget& budget) {
  Seen& seen = see(net, budget);
  if (!seen.open) return fail(seen.open.error());
  const std::vector<SocketTuple>& sockets = *seen.open;
  if (sockets.empty() && seen.senders.empty()) {  // nearly always
    seen.sockets.clear();
    return std::vector<Sender>();
  }
  const bool are_the_same =
      std::equal(sockets.begin(), sockets.end(), seen.sockets.begin(), seen.sockets.end(),
                 [](const SocketTuple& socket, VirtAddr known) { return socket.at == known; });
  if (!are_the_same || Clock::now() - seen.looked > kFresh) XF_CHECK(look(sockets, seen, budget));
  return seen.senders;
}

void RawSenders::begin_lookup(Budget& budget) {
  ++lookup_;
  watch();
  see(view_->init_net(), budget);
}

void RawSenders::watch() {
  std::size_t watched = 0;
  for (auto& [net, seen] : by_net_)
    for (auto sender = seen.senders.begin(); sender != seen.senders.end(); ++sender) {
      if (++watched > kMostWatched) return;
      // What is in a socket's memory now is the latest one's that was there.
      const bool is_latest = std::none_of(seen.senders.begin(), sender, [&](const Sender& later) {
        return later.socket.at == sender->socket.at;
      });
      sender->is_sending = is_latest && is_sending(sender->socket);
    }
}

bool RawSenders::is_sending(const SocketTuple& socket) const {
  const auto sending = read_is_sending(*view_, socket.at);
  // The memory may be another socket's by now.
  const auto now = read_tuple(*view_, socket.kind, socket.at);
  return sending && *sending && now && now->net == socket.net;
}

Result<void> RawSenders::look(const std::vector<SocketTuple>& sockets, Seen& seen, Budget& budget) {
  if (sockets.size() > kMostSenders)
    return fail(Errc::budget_exhausted, "{} raw and packet sockets, more than {}", sockets.size(),
                kMostSenders);
  const auto now = Clock::now();
  for (const SocketTuple& socket : sockets) {
    bool is_dhcp_client = false;
    auto processes = holders_of(socket, is_dhcp_client, budget);
    if (processes && is_dhcp_client) continue;
    if (!processes) processes.emplace();  // closed while it was read: it is open to none
    // Whoever had a socket in the same memory before is another sender, and remembered.
    std::erase_if(seen.senders, [&](const Sender& sender) {
      return sender.socket.at == socket.at && sender.processes == *processes;
    });
    seen.senders.insert(seen.senders.begin(),
                        {socket, std::move(*processes), now, is_sending(socket)});
  }
  std::erase_if(seen.senders,
                [&](const Sender& sender) { return now - sender.seen > kRemembered; });
  if (seen.senders.size() > kMostSenders) seen.senders.resize(kMostSenders);
  seen.sockets.clear();
  for (const SocketTuple& socket : sockets) seen.sockets.push_back(socket.at);
  seen.looked = now;
  return {};
}

Result<std::vector<ProcessRef>> RawSenders::holders_of(const SocketTuple& socket,
                                                       bool& all_are_dhcp_clients, Budget& budget) {
  std::vector<ProcessRef> processes;
  XF_TRY(file, read_socket_file(*view_, socket.at));
  if (!file.file) return processes;
  const HolderIndex::Found found = holders_->find(file.file, budget);
  all_are_dhcp_clients = !found.holders.empty() && found.is_complete;
  for (const Holder& holder : found.holders) {
    XF_TRY(process, processes_->find(holder.process.at, budget));
    XF_TRY(is_client, is_dhcp_client(holder, *process));
    all_are_dhcp_clients = all_are_dhcp_clients && is_client;
    if (std::find(processes.begin(), processes.end(), process) == processes.end())
      processes.push_back(std::move(process));
  }
  return processes;
}

// The path alone proves nothing in a mount namespace that somebody made for himself.
Result<bool> RawSenders::is_dhcp_client(const Holder& holder, const model::Process& process) const {
  if (process.exe_is_deleted ||
      std::find(kDhcpClients.begin(), kDhcpClients.end(), process.exe) == kDhcpClients.end())
    return false;
  XF_TRY(init, read_task(*view_, view_->init_task()));
  XF_TRY(of_init, read_namespaces(*view_, init));
  XF_TRY(of_holder, read_namespaces(*view_, holder.process));
  return of_init.mnt == of_holder.mnt;
}

}  // namespace xfilter::attribution
