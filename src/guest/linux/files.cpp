// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/files.h"

namespace xfilter::guest::linux {

Result<std::vector<VirtAddr>> read_descriptors(const View& view, VirtAddr files, Budget& budget) {
  const auto& layout = view.layout();
  XF_TRY(table, view.read_pointer(files, layout.files_fdt));
  XF_TRY(count, view.read<std::uint32_t>(table, layout.fdtable_max_fds));
  if (count > kMostDescriptors)
    return fail(Errc::budget_exhausted, "files_struct {}: a table of {} descriptors, more than {}",
                files, count, kMostDescriptors);
  XF_CHECK(budget.spend("descriptor table", 1 + std::uint64_t{count} * 8 / kPageSize));
  XF_TRY(slots, view.read_pointer(table, layout.fdtable_fd));
  std::vector<VirtAddr> descriptors(count);
  XF_CHECK(view.space().read(slots, std::as_writable_bytes(std::span(descriptors))));
  return descriptors;
}

Result<VirtAddr> read_descriptor(const View& view, VirtAddr files, std::uint32_t fd) {
  const auto& layout = view.layout();
  XF_TRY(table, view.read_pointer(files, layout.files_fdt));
  XF_TRY(count, view.read<std::uint32_t>(table, layout.fdtable_max_fds));
  if (fd >= count) return VirtAddr{};
  XF_TRY(slots, view.read_pointer(table, layout.fdtable_fd));
  return view.space().read_pointer(slots + std::uint64_t{fd} * 8);
}

}  // namespace xfilter::guest::linux
