// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/shared_ram.h"

#include "base/bytes.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "guest/memory/file_extent.h"

namespace xfilter::guest::memory {

Result<std::unique_ptr<SharedRam>> SharedRam::map(Fd file, std::uint64_t file_offset,
                                                  std::uint64_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, file.number(),
                    static_cast<off_t>(file_offset));
  if (at == MAP_FAILED)
    return fail(Errc::host_refused, "cannot map {} bytes of shared guest RAM: {}", size,
                std::strerror(errno));
  return std::unique_ptr<SharedRam>(
      new SharedRam(std::move(file), file_offset, size, static_cast<const std::byte*>(at)));
}

SharedRam::~SharedRam() {
  ::munmap(const_cast<std::byte*>(bytes_), size_);
}

Result<void> SharedRam::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset > size_ || size_ - offset < into.size())
    return fail(Errc::guest_page_not_present, "RAM offset {:#x} is beyond its end {:#x}", offset,
                size_);
  copy_once(into, bytes_ + offset);
  return {};
}

std::optional<Extent> SharedRam::next_data(std::uint64_t from) const {
  auto found = next_file_data(file_.number(), file_offset_ + from, file_offset_ + size_);
  if (!found) return std::nullopt;
  return Extent{found->begin - file_offset_, found->end - file_offset_};
}

}  // namespace xfilter::guest::memory
