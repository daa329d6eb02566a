// SPDX-License-Identifier: Apache-2.0
// attribution/holder_index.h: from an open file of the guest to the processes that hold it.
//
// The guest has no pointers that way, so we remember what walks found, and believe a memory only
// after looking: each slot is read again, and their number must be the file's own count of
// references. A file that is new to us is first looked for in the tables where sockets were found
// last, then in those of the newest processes. Only when that does not account for every reference
// are all tasks walked. Threads: one. Cost: a known file about five reads; a new one of a busy
// process as many tables as it takes; at worst the walk.
#pragma once

#include <functional>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "guest/linux/holders.h"

namespace xfilter::attribution {

class HolderIndex {
 public:
  // `view` is borrowed; an index is of one boot of the guest. `begin_lookup` is called after a
  // walk: nothing that was read before may be used again to verify what it found.
  HolderIndex(const guest::linux::View& view, std::function<void()> begin_lookup)
      : view_(&view), begin_lookup_(std::move(begin_lookup)) {}

  struct Found {
    std::span<const guest::linux::Holder> holders;  // every slot of it; good until the next find()
    bool is_complete = false;                       // nobody else holds it
  };
  Found find(guest::VirtAddr file, Budget& budget);

  std::uint64_t walks() const { return walks_; }  // how often nothing but the walk helped

 private:
  using Holder = guest::linux::Holder;

  bool is_still_held(const Holder& holder) const;
  bool accounts_for_all(const std::vector<Holder>& holders, guest::VirtAddr file,
                        Budget& budget) const;
  bool is_used_by_process_alone(const Holder& holder, Budget& budget) const;
  void look_in_table_of(const Holder& user, guest::VirtAddr file, Budget& budget,
                        std::vector<Holder>& found) const;
  std::vector<Holder> find_in_recent_tables(guest::VirtAddr file, Budget& budget) const;
  void find_in_newest_tasks(guest::VirtAddr file, Budget& budget, std::vector<Holder>& found) const;
  void note_use(const std::vector<Holder>& holders);
  bool walk(guest::linux::Search search, Budget& budget);

  const guest::linux::View* view_;
  std::function<void()> begin_lookup_;
  std::unordered_map<std::uint64_t, std::vector<Holder>> by_file_;
  std::list<Holder>
      recent_;  // one per descriptor table, latest first; `file` and `fd` do not matter
  std::uint64_t walks_ = 0;
};

}  // namespace xfilter::attribution
