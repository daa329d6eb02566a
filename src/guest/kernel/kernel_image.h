// SPDX-License-Identifier: Apache-2.0
// guest/kernel/kernel_image.h: where the guest's Linux kernel lies, found by the shape of its page
// tables.
//
// No symbols, registers or machine description are needed. Linux on x86-64 keeps `trampoline_pgd`
// in the first MiB of memory (arch/x86/realmode/init.c): entry 511 is a copy of init_top_pgt[511],
// which leads to level3_kernel_pgt, whose shape is unmistakable: 510 empty entries, then the kernel
// image, then the fixmap. So looking through 256 pages gives the virtual and physical base of the
// kernel, however much memory there is and whatever KASLR chose.
//
// Also found: how the guest-physical space is split around the hole below 4 GiB, when the kernel
// itself lies above it (set on the memory passed in).
#pragma once

#include "guest/paging/page_tables.h"

namespace xfilter::guest::kernel {

struct KernelImage {
  VirtAddr text;  // _text: start of the mapped image, 2 MiB aligned
  PhysAddr text_phys;
  std::uint64_t size = 0;  // mapped bytes from `text` on
  paging::Levels levels = paging::Levels::four;
};

// guest_kernel_not_found says what was seen instead: empty memory, no trampoline, ...
Result<KernelImage> find_kernel_image(memory::GuestMemory& memory);

}  // namespace xfilter::guest::kernel
