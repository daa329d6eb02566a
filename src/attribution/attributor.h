// SPDX-License-Identifier: Apache-2.0
// attribution/attributor.h: from a packet to its owner.
//
// It does what the guest's kernel does: hashes the packet's tuple, looks the socket up in the
// guest's own tables, and goes from the socket to the file to the processes that hold it.
// docs/attribution.md says what each confidence promises. The guest runs meanwhile: what was found
// is read a second time, and an answer is given only if the socket is still the same and still has
// the same file. Threads: one. Lifetime: of one boot of the guest; made anew when the kernel was
// found again. Failure: none. What cannot be told is Confidence::unknown with a reason. Cost:
// bounded by a budget, whatever the guest's memory says.
#pragma once

#include <functional>
#include <optional>

#include "attribution/datagram_senders.h"
#include "attribution/holder_index.h"
#include "attribution/last_owners.h"
#include "attribution/process_table.h"
#include "attribution/raw_senders.h"
#include "guest/linux/conntrack.h"
#include "guest/linux/socket_tables.h"
#include "model/owner.h"
#include "packet/parse.h"

namespace xfilter::attribution {

class Attributor {
 public:
  // `view` is borrowed. `begin_lookup` is called before a look-up and before its verification: from
  // there on nothing that was read earlier may be used again (see PageCache).
  Attributor(const guest::linux::View& view, std::function<void()> begin_lookup);
  // Its parts refer to each other.
  Attributor(const Attributor&) = delete;
  Attributor& operator=(const Attributor&) = delete;

  model::Owner attribute(const packet::Packet& packet);

  // Looks at a few processes more, so that it is known who descends from whom before a parent is
  // gone. To be called all the while.
  void observe_processes();
  // What they run, or ran, as far as it is remembered.
  std::unordered_set<std::string> programs_seen() const { return processes_.programs_seen(); }

  std::uint64_t walks() const { return holders_.walks(); }
  std::uint64_t chain_steps() const { return chain_steps_; }  // sockets looked at in hash chains

 private:
  // The sockets that explain a packet, as the kernel's own look-up would choose them.
  struct Explanation {
    std::vector<guest::linux::SocketTuple> sockets;
    model::Confidence best = model::Confidence::exact;
    std::string reason;      // why not better
    bool is_certain = true;  // by more than its tuple: a connection whose numbers fit
  };

  model::Owner attribute_whole(const packet::Packet& packet, Budget& budget);
  model::Owner attribute_fragment(const packet::Packet& packet, Budget& budget);
  Result<std::optional<model::Owner>> owner_by_socket(const packet::Packet& packet, Budget& budget);
  std::optional<model::Owner> last_owner(const packet::Packet& packet,
                                         const std::optional<model::Owner>& by_socket,
                                         Budget& budget);
  Result<std::optional<model::Owner>> sender_behind_nat(const packet::Packet& packet,
                                                        Budget& budget);
  Result<std::optional<model::Owner>> find_in_namespaces(const packet::Packet& packet,
                                                         Budget& budget);
  Result<std::optional<Explanation>> explain(guest::VirtAddr net, const packet::Packet& packet,
                                             Budget& budget);
  Result<std::optional<Explanation>> explain_tcp(guest::VirtAddr net, const packet::Packet& packet,
                                                 Budget& budget);
  Result<std::optional<Explanation>> explain_datagram(guest::VirtAddr net,
                                                      const packet::Packet& packet, Budget& budget);

  template <class Find>
  auto find_in_chain(Budget& budget, Find find);

  Result<model::Owner> owner_of(const Explanation& explanation, Budget& budget);
  Result<model::Owner> owner_of(const guest::linux::SocketTuple& socket, Budget& budget);
  Result<std::vector<model::ProcessRef>> processes_of(std::span<const guest::linux::Holder> holders,
                                                      Budget& budget);
  void lower_by_raw_senders(model::Owner& owner, guest::VirtAddr net, Budget& budget);
  Result<bool> is_of_live_socket(const packet::Packet& packet, Budget& budget);
  Result<model::Owner> unexplained(const packet::Packet& packet, Budget& budget);

  const guest::linux::View* view_;
  std::function<void()> begin_lookup_;
  guest::linux::SocketTables tables_;
  DatagramSenders datagram_senders_;
  guest::linux::Conntrack conntrack_;
  HolderIndex holders_;
  ProcessTable processes_;
  RawSenders raw_senders_;
  std::uint64_t chain_steps_ = 0;
  LastOwners last_owners_;
  LastOwners fragmented_;  // by addresses, protocol and, in place of ports, the datagram's id
};

}  // namespace xfilter::attribution
