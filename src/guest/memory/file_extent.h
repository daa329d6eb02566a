// SPDX-License-Identifier: Apache-2.0
// guest/memory/file_extent.h: where a sparse file has data.
#pragma once

#include <cstdint>
#include <optional>

#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

// The first run of data in [from, end) of the file; offsets are the file's. A file system without
// SEEK_DATA says that everything is data, which is safe and slow.
std::optional<Extent> next_file_data(int fd, std::uint64_t from, std::uint64_t end);

}  // namespace xfilter::guest::memory
