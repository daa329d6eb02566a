// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/process_ram.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "guest/address.h"

namespace xfilter::guest::memory {
namespace {

// Documentation/admin-guide/mm/pagemap.rst: one u64 a page, bit 63 present, bit 62 swapped.
constexpr std::uint64_t kPresentOrSwapped = 3ULL << 62;

}  // namespace

Result<void> ProcessRam::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset > size_ || size_ - offset < into.size())
    return fail(Errc::guest_page_not_present, "RAM offset {:#x} is beyond its end {:#x}", offset,
                size_);
  const ssize_t got =
      ::pread(mem_.number(), into.data(), into.size(), static_cast<off_t>(base_ + offset));
  if (got == static_cast<ssize_t>(into.size())) return {};
  return fail(Errc::guest_page_not_present,
              "RAM offset {:#x}: the VMM's memory gave {} of {} bytes ({})", offset,
              std::max<ssize_t>(got, 0), into.size(),
              got < 0 ? std::strerror(errno) : "end of mapping");
}

std::optional<Extent> ProcessRam::next_data(std::uint64_t from) const {
  std::array<std::uint64_t, 512> entries{};
  std::optional<Extent> found;
  for (std::uint64_t page = from / kPageSize; page < size_ / kPageSize;) {
    const std::uint64_t wanted = std::min<std::uint64_t>(entries.size(), size_ / kPageSize - page);
    const off_t at = static_cast<off_t>((base_ / kPageSize + page) * sizeof(std::uint64_t));
    const ssize_t got =
        ::pread(pagemap_.number(), entries.data(), wanted * sizeof(std::uint64_t), at);
    if (got <= 0) return found;
    const std::size_t count = static_cast<std::size_t>(got) / sizeof(std::uint64_t);
    for (std::size_t i = 0; i < count; ++i, ++page) {
      const bool has_data = (entries[i] & kPresentOrSwapped) != 0;
      if (has_data && !found) found = Extent{page * kPageSize, 0};
      if (has_data) found->end = (page + 1) * kPageSize;
      if (!has_data && found) {
        found->begin = std::max(found->begin, from);
        return found;
      }
    }
  }
  if (found) found->begin = std::max(found->begin, from);
  return found;
}

}  // namespace xfilter::guest::memory
