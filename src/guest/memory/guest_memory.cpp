// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/guest_memory.h"

namespace xfilter::guest::memory {

Result<std::uint64_t> GuestMemory::ram_offset(PhysAddr from, std::uint64_t size) const {
  const std::uint64_t at = from.value;
  if (at < low_size_ && low_size_ - at >= size) return at;
  const std::uint64_t high_size = ram_->size() - low_size_;
  if (at >= kHighRam && at - kHighRam < high_size && high_size - (at - kHighRam) >= size)
    return low_size_ + (at - kHighRam);
  return fail(Errc::guest_page_not_present, "{} is not RAM", from);
}

const std::byte* GuestMemory::mapping(PhysAddr from, std::uint64_t size) const {
  const auto offset = ram_offset(from, size);
  return offset && ram_->mapping() != nullptr ? ram_->mapping() + *offset : nullptr;
}

Result<void> GuestMemory::read(PhysAddr from, std::span<std::byte> into) const {
  XF_TRY(offset, ram_offset(from, into.size()));
  return ram_->read(offset, into);
}

Result<void> GuestMemory::sweep(PhysAddr from, std::span<std::byte> into) const {
  XF_TRY(offset, ram_offset(from, into.size()));
  return ram_->sweep(offset, into);
}

void GuestMemory::prefetch(PhysAddr from, std::uint64_t size) const {
  if (const auto offset = ram_offset(from, size)) ram_->prefetch(*offset, size);
}

}  // namespace xfilter::guest::memory
