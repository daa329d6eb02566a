// SPDX-License-Identifier: Apache-2.0
// guest/linux/siphash.h: SipHash-2-4 (Aumasson, Bernstein, 2012), as the guest's kernel uses it for
// its tables (lib/siphash.c).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace xfilter::guest::linux {

struct SiphashKey {
  std::uint64_t first = 0, second = 0;
};

std::uint64_t siphash(std::span<const std::byte> bytes, const SiphashKey& key);

}  // namespace xfilter::guest::linux
