// SPDX-License-Identifier: Apache-2.0
// guest/linux/view.h: a guest's Linux kernel, ready to be read: its profile and its address space.
//
// Readers in this folder take a View and a kernel address and return values, never references into
// guest memory. What they return was consistent with what they checked, at some moment while they
// ran; a caller that joins two facts checks that the first still holds. Threads: one. Lifetime:
// profile and memory are borrowed.
#pragma once

#include "base/budget.h"
#include "base/circle.h"
#include "guest/kernel/profile.h"

namespace xfilter::guest::linux {

class View {
 public:
  View(const kernel::Profile& profile, const memory::GuestMemory& memory)
      : profile_(&profile), space_(profile.address_space(memory)) {
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

  // The member of the object at `object`.
  template <class T>
  Result<T> read(VirtAddr object, kernel::Member member) const {
    return space_.read_value<T>(object + member.offset);
  }
  Result<VirtAddr> read_pointer(VirtAddr object, kernel::Member member) const {
    return space_.read_pointer(object + member.offset);
  }

 private:
  const kernel::Profile* profile_;
  VirtAddr init_task_, init_net_, socket_file_ops_;
  paging::VirtualMemory space_;
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
