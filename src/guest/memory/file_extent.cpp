// SPDX-License-Identifier: Apache-2.0
#include "guest/memory/file_extent.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace xfilter::guest::memory {

std::optional<Extent> next_file_data(int fd, std::uint64_t from, std::uint64_t end) {
  if (from >= end) return std::nullopt;
  const off_t data = ::lseek(fd, static_cast<off_t>(from), SEEK_DATA);
  if (data < 0) {
    if (errno == ENXIO) return std::nullopt;  // only a hole follows
    return Extent{from, end};
  }
  if (static_cast<std::uint64_t>(data) >= end) return std::nullopt;
  const off_t hole = ::lseek(fd, data, SEEK_HOLE);
  const std::uint64_t until = hole < 0 ? end : static_cast<std::uint64_t>(hole);
  return Extent{static_cast<std::uint64_t>(data), std::min(until, end)};
}

}  // namespace xfilter::guest::memory
