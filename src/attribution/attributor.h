// SPDX-License-Identifier: Apache-2.0
// attribution/attributor.h: from a packet to its owner.
//
// It does what the guest's kernel does: hashes the packet's tuple, looks the socket up in the
// guest's own tables, and goes from the socket to the file to the processes that hold it.
// docs/attribution.md says what each confidence promises. The guest runs meanwhile: what was found
// is read a second time, and an answer is given only if the socket is still the same and still has
// the same file. Threads:  one. Lifetime: of one boot of the guest; made anew when the kernel was
// found again. Failure:  none. What cannot be told is Confidence::unknown with a reason. Cost:
// bounded by a budget, whatever the guest's memory says.
#pragma once

#include <functional>
#include <optional>

#include "attribution/holder_index.h"
#include "guest/linux/socket_tables.h"
#include "model/owner.h"
#include "packet/parse.h"

namespace xfilter::attribution {

class Attributor {
 public:
  // `view` is borrowed. `begin_lookup` is called before a look-up and before its verification: from
  // there on nothing that was read earlier may be used again (see PageCache).
  Attributor(const guest::linux::View& view, std::function<void()> begin_lookup)
      : view_(&view), begin_lookup_(std::move(begin_lookup)), tables_(view), index_(view) {}

  model::Owner attribute(const packet::Packet& packet);

  std::uint64_t walks() const { return index_.walks(); }

 private:
  Result<model::Owner> attribute_tcp(const packet::Packet& packet, Budget& budget);
  Result<model::Owner> attribute_udp(const packet::Packet& packet, Budget& budget);
  Result<model::Owner> owner_of(const guest::linux::SocketTuple& tuple, model::Confidence best,
                                std::string reason, Budget& budget);
  Result<std::vector<model::Process>> processes_of(
      const std::vector<guest::linux::Holder>& holders);
  Result<std::string> exe_of(const guest::linux::Task& process);

  const guest::linux::View* view_;
  std::function<void()> begin_lookup_;
  guest::linux::SocketTables tables_;
  HolderIndex index_;

  struct ExeKey {
    std::uint64_t mm = 0, exe_file = 0, started = 0;
    bool operator==(const ExeKey&) const = default;
  };
  struct KnownExe {
    ExeKey key;
    std::string path;
  };
  std::unordered_map<std::uint64_t, KnownExe> exes_;  // by task_struct
};

}  // namespace xfilter::attribution
