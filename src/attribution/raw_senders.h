// SPDX-License-Identifier: Apache-2.0
// attribution/raw_senders.h: who could write any packet they like: the holders of raw and packet
// sockets.
//
// While there is one in a network namespace, a packet's tuple proves little: it could be forged. So
// their presence lowers the confidence of everybody's packets, and they are named as alternatives.
// They count for kRemembered after they were last seen: a forger need not keep its socket open.
// DHCP clients hold a packet socket all their life; those that are known by their program's path,
// in the guest's own mount namespace, do not count. Threads: one.
// Cost: the raw tables are read for each packet, three pages; who holds a socket in them, five
// reads, once in kFresh as long as the sockets are the same.
#pragma once

#include <chrono>
#include <unordered_map>

#include "attribution/holder_index.h"
#include "attribution/process_table.h"
#include "guest/linux/socket_tables.h"

namespace xfilter::attribution {

inline constexpr std::chrono::milliseconds kFresh{1};
inline constexpr std::chrono::seconds kRemembered{10};
inline constexpr std::size_t kMostWatched = 64;

class RawSenders {
 public:
  // Everything is borrowed.
  RawSenders(const guest::linux::View& view, HolderIndex& holders, ProcessTable& processes)
      : view_(&view), holders_(&holders), processes_(&processes), tables_(view) {}

  struct Sender {
    guest::linux::SocketTuple socket;
    std::vector<model::ProcessRef> processes;  // empty: a socket that no process holds
    std::chrono::steady_clock::time_point seen;
    bool is_sending = false;  // what it sent was on its way when this look-up began
  };

  // To be called first of all when a packet came. Who is sending? It shows for a moment only, until
  // the guest's driver takes back what went out. And what is open, in the guest's first namespace:
  // whoever sent the packet opened his socket before.
  // Cost: a read for each raw or packet socket that is known, at most kMostWatched.
  void begin_lookup(Budget& budget);

  // Those of the namespace `net`, latest first: all that are open, and others of lately. An
  // error when it cannot be told who there is.
  Result<std::vector<Sender>> in(guest::VirtAddr net, Budget& budget);

 private:
  struct Seen {
    std::uint64_t lookup = 0;  // when `open` was read
    Result<std::vector<guest::linux::SocketTuple>> open;
    std::chrono::steady_clock::time_point looked{};
    std::vector<guest::VirtAddr> sockets;  // that were open then, DHCP clients' too
    std::vector<Sender> senders;
  };

  void watch();
  Seen& see(guest::VirtAddr net, Budget& budget);
  Result<void> look(const std::vector<guest::linux::SocketTuple>& sockets, Seen& seen,
                    Budget& budget);
  Result<std::vector<model::ProcessRef>> holders_of(const guest::linux::SocketTuple& socket,
                                                    bool& all_are_dhcp_clients, Budget& budget);
  Result<bool> is_dhcp_client(const guest::linux::Holder& holder,
                              const model::Process& process) const;

  bool is_sending(const guest::linux::SocketTuple& socket) const;

  const guest::linux::View* view_;
  HolderIndex* holders_;
  ProcessTable* processes_;
  guest::linux::SocketTables tables_;
  std::unordered_map<std::uint64_t, Seen> by_net_;
  std::uint64_t lookup_ = 0;
};

}  // namespace xfilter::attribution
