// SPDX-License-Identifier: Apache-2.0
// guest/kernel/profile.h: all that must be known of a guest's kernel to read its objects, found in
// guest memory alone and checked by meaning.
//
// Use find_profile() once a guest boot, and still_holds() all the time: a guest that reboots has
// another kernel at other addresses, in memory that still looks much like before. Failure:
// guest_kernel_not_found while there is no (booted) kernel; profile_lacks_symbol or
//          profile_lacks_member when the kernel was built without what we need (BTF, KALLSYMS_ALL).
// Cost:    find_profile 20-60 ms; still_holds three reads.
#pragma once

#include <array>

#include "guest/kernel/btf.h"
#include "guest/kernel/kallsyms.h"
#include "guest/kernel/kernel_image.h"
#include "guest/paging/virtual_memory.h"

namespace xfilter::guest::kernel {

// A member's place in its struct, for this kernel.
using Member = Btf::Member;

struct Layout {
#define MEMBER(name, type, path) Member name;
#define OPTIONAL(name, type, path) std::optional<Member> name;
#define SIZE(name, type) std::uint32_t name = 0;
#include "guest/kernel/layout.def"
#undef MEMBER
#undef OPTIONAL
#undef SIZE
};

class Profile {
 public:
  KernelImage image;
  paging::PageTableRoot root;  // init_top_pgt
  std::string banner;          // linux_banner, without the newline
  std::uint64_t ram_end = 0;   // guest-physical address behind the last page of RAM (max_pfn)
  VirtAddr page_offset;        // start of the direct map
  Symbols symbols;
  Layout layout;

  // Reads of this kernel's address space.
  paging::VirtualMemory address_space(const memory::GuestMemory& memory) const;

  // Says whether `memory` still holds the kernel that this profile was made of, in the same boot.
  // `jiffies` is what the last call saw (0 at first) and is updated: time that runs backwards is a
  // reboot.
  Result<void> still_holds(const memory::GuestMemory& memory, std::uint64_t& jiffies) const;
};

// Sets the split of `memory` around the hole below 4 GiB as a side effect.
Result<Profile> find_profile(memory::GuestMemory& memory);

}  // namespace xfilter::guest::kernel
