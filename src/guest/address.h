// SPDX-License-Identifier: Apache-2.0
// guest/address.h: the guest's two address spaces, as types that never convert silently.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>

namespace xfilter::guest {

struct PhysAddr {
  std::uint64_t value = 0;
  auto operator<=>(const PhysAddr&) const = default;
};

struct VirtAddr {
  std::uint64_t value = 0;
  auto operator<=>(const VirtAddr&) const = default;
  explicit operator bool() const { return value != 0; }
};

// Addresses come from the guest, so sums may wrap; the result is then simply not present.
constexpr PhysAddr operator+(PhysAddr at, std::uint64_t bytes) {
  return {at.value + bytes};
}
constexpr VirtAddr operator+(VirtAddr at, std::uint64_t bytes) {
  return {at.value + bytes};
}
constexpr VirtAddr operator-(VirtAddr at, std::uint64_t bytes) {
  return {at.value - bytes};
}

inline constexpr std::uint64_t kPageSize = 4096;
inline constexpr std::uint64_t kLargePageSize = 2 << 20;

}  // namespace xfilter::guest

template <>
struct fmt::formatter<xfilter::guest::PhysAddr> : fmt::formatter<std::uint64_t> {
  template <class Context>
  auto format(xfilter::guest::PhysAddr at, Context& context) const {
    return fmt::format_to(context.out(), "physical {:#x}", at.value);
  }
};
template <>
struct fmt::formatter<xfilter::guest::VirtAddr> : fmt::formatter<std::uint64_t> {
  template <class Context>
  auto format(xfilter::guest::VirtAddr at, Context& context) const {
    return fmt::format_to(context.out(), "{:#x}", at.value);
  }
};
