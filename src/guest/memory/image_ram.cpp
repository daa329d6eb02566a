// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/image_ram.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "guest/address.h"
#include "guest/memory/file_extent.h"

namespace xfilter::guest::memory {

Result<std::unique_ptr<ImageRam>> ImageRam::open(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open())
    return fail(Errc::input_invalid, "{}: cannot be read: {}", path, std::strerror(errno));
  struct stat status {};
  if (::fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail(Errc::input_invalid,
                "{}: is not a regular file; expected a raw image of guest memory", path);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  constexpr std::uint64_t kSmallestGuest = 16 << 20;  // a guess: no kernel here boots in less
  if (size < kSmallestGuest)
    return fail(Errc::input_invalid,
                "{}: has {} bytes, too few for a raw image of guest memory (at least {} MiB). "
                "Compressed images must be unpacked first (zstd -d)",
                path, size, kSmallestGuest >> 20);
  return std::unique_ptr<ImageRam>(new ImageRam(std::move(file), size / kPageSize * kPageSize));
}

Result<void> ImageRam::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset > size_ || size_ - offset < into.size())
    return fail(Errc::guest_page_not_present,
                "image offset {:#x} is beyond its end {:#x}: cut short?", offset, size_);
  const ssize_t got = ::pread(file_.number(), into.data(), into.size(), static_cast<off_t>(offset));
  if (got == static_cast<ssize_t>(into.size())) return {};
  return fail(Errc::guest_page_not_present, "image offset {:#x}: read {} of {} bytes", offset,
              std::max<ssize_t>(got, 0), into.size());
}

std::optional<Extent> ImageRam::next_data(std::uint64_t from) const {
  return next_file_data(file_.number(), from, size_);
}

}  // namespace xfilter::guest::memory
