// SPDX-License-Identifier: Apache-2.0
// guest/memory/image_ram.h: RAM in a raw image file (from QMP's pmemsave, `xfilter image`, or a
// copy of a RAM backing file).
//
// Read with pread and not mapped: a file that somebody truncates must be an error, not a SIGBUS.
#pragma once

#include <memory>

#include "base/fd.h"
#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

class ImageRam final : public Ram {
 public:
  static Result<std::unique_ptr<ImageRam>> open(const std::string& path);

  std::uint64_t size() const override { return size_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override;
  std::optional<Extent> next_data(std::uint64_t from) const override;

 private:
  ImageRam(Fd file, std::uint64_t size) : file_(std::move(file)), size_(size) {}

  Fd file_;
  std::uint64_t size_;
};

}  // namespace xfilter::guest::memory
