// SPDX-License-Identifier: Apache-2.0
// guest/memory/process_ram.h: RAM that a VMM holds in private anonymous memory, read through
// /proc/PID/mem.
//
// It is the default of QEMU and Firecracker, so this works with a VM that was started without any
// thought of us. Needs only the two descriptors: an unprivileged process may go on using them.
// Cost: a system call a read (1.1-1.6 us up to 4 KiB), so put a PageCache in front.
#pragma once

#include "base/fd.h"
#include "guest/memory/ram.h"

namespace xfilter::guest::memory {

class ProcessRam final : public Ram {
 public:
  // `mem` and `pagemap` are /proc/PID/mem and /proc/PID/pagemap, opened for reading; they are
  // borrowed and must outlive this. `base` is the block's first address in the VMM.
  ProcessRam(const Fd& mem, const Fd& pagemap, std::uint64_t base, std::uint64_t size)
      : mem_(mem), pagemap_(pagemap), base_(base), size_(size) {}

  std::uint64_t size() const override { return size_; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override;
  std::optional<Extent> next_data(std::uint64_t from) const override;

 private:
  const Fd& mem_;
  const Fd& pagemap_;
  std::uint64_t base_;
  std::uint64_t size_;
};

}  // namespace xfilter::guest::memory
