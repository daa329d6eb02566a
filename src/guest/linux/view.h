// SPDX-License-Identifier: Apache-2.0
// guest/linux/view.h: a guest's Linux kernel, ready to be read: its profile and its address space.
//
// Readers in this folder take a View and a kernel address and return values, never references into
// guest memory. What they return was consistent with what they checked, at some moment while they
// ran; a caller that joins two facts checks that the first still holds. Threads: one. Lifetime:
// profile and memory are borrowed.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "base/budget.h"
#include "base/circle.h"
#include "guest/kernel/profile.h"

namespace xfilter::guest::linux {

class View {
 public:
  View(const kernel::Profile& profile, const memory::GuestMemory& memory)
      : profile_(&profile),
        space_(profile.address_space(memory)),
        task_({layout().task_flags, layout().task_pid, layout().task_start_boottime,
               layout().task_files, layout().task_signal, layout().task_cgroups}),
        tcp_sock_({layout().sk_daddr, layout().sk_socket, layout().tcp_snd_una,
                   layout().tcp_snd_nxt, layout().tcp_write_seq, layout().tcp_rcv_nxt,
                   layout().tcp_max_window, layout().tcp_window_clamp}) {
    // find_profile() made sure of them.
    init_task_ = *profile.symbols.find("init_task");
    init_net_ = *profile.symbols.find("init_net");
    socket_file_ops_ = *profile.symbols.find("socket_file_ops");
  }

  // Symbols that every look-up needs.
  VirtAddr init_task() const { return init_task_; }
  VirtAddr init_net() const { return init_net_; }
  VirtAddr socket_file_ops() const { return socket_file_ops_; }

  const kernel::Profile& profile() const { return *profile_; }
  const kernel::Layout& layout() const { return profile_->layout; }
  const paging::VirtualMemory& space() const { return space_; }

  // Most of a struct task_struct, or tcp_sock, is wanted next: where RAM is not mapped it comes
  // with one call.
  void prefetch_task(VirtAddr at) const { space_.prefetch(at + task_.begin, task_.size()); }
  void prefetch_tcp_sock(VirtAddr at) const {
    space_.prefetch(at + tcp_sock_.begin, tcp_sock_.size());
  }

  // The member of the object at `object`.
  template <class T>
  Result<T> read(VirtAddr object, kernel::Member member) const {
    return space_.read_value<T>(object + member.offset);
  }
  Result<VirtAddr> read_pointer(VirtAddr object, kernel::Member member) const {
    return space_.read_pointer(object + member.offset);
  }

 private:
  // From the first of some members to behind the last, which has eight bytes at most.
  struct Part {
    explicit Part(std::initializer_list<kernel::Member> members) {
      const auto [first, last] = std::minmax(
          members, [](kernel::Member a, kernel::Member b) { return a.offset < b.offset; });
      begin = first.offset;
      end = last.offset + 8;
    }
    std::uint64_t size() const { return end - begin; }
    std::uint64_t begin = 0, end = 0;
  };

  const kernel::Profile* profile_;
  VirtAddr init_task_, init_net_, socket_file_ops_;
  paging::VirtualMemory space_;
  Part task_, tcp_sock_;
};

// Visits the objects of a circular list_head list; `head` is the head's address, `link` the
// list_head's place in the object. Ends at the head, when visit returns an error, when the list
// closes anywhere but at its head (budget_exhausted), or with the budget.
template <class Visit>
Result<void> walk_list(const View& view, VirtAddr head, kernel::Member link, Budget& budget,
                       const char* what, Visit visit) {
  XF_TRY(at, view.space().read_pointer(head));
  CircleCheck circle;
  while (at != head) {
    if (circle.closes_at(at.value)) return fail(Errc::budget_exhausted, "{}: a circle", what);
    XF_CHECK(budget.spend(what));
    XF_CHECK(visit(at - link.offset));
    XF_TRY(next, view.space().read_pointer(at));
    at = next;
  }
  return {};
}

}  // namespace xfilter::guest::linux
