// SPDX-License-Identifier: Apache-2.0
// base/bytes.h: reading plain values out of bytes that somebody else laid out.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace xfilter {

// Copies bytes that somebody else may write meanwhile. Callers check and use the copy only; the asm
// keeps the compiler from reading the shared bytes a second time in place of the copy.
inline void copy_once(std::span<std::byte> into, const std::byte* shared) {
  std::memcpy(into.data(), shared, into.size());
  asm volatile("" : : "r"(into.data()) : "memory");
}

static_assert(std::endian::native == std::endian::little, "guests and hosts are x86-64");

// The T at `offset`, or nothing if it does not fit. Subtracts and never adds: offset + size can
// wrap.
template <class T>
requires std::is_trivially_copyable_v<T> std::optional<T> load(std::span<const std::byte> from,
                                                               std::size_t offset) {
  if (offset > from.size() || from.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, from.data() + offset, sizeof(T));
  return value;
}

// The same in network byte order.
template <std::unsigned_integral T>
std::optional<T> load_big_endian(std::span<const std::byte> from, std::size_t offset) {
  auto value = load<T>(from, offset);
  if (!value) return std::nullopt;
  if constexpr (sizeof(T) == 1) return *value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(*value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(*value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(*value);
}

template <class T>
requires std::is_trivially_copyable_v<T> std::span<std::byte> writable_bytes_of(T& value) {
  return std::as_writable_bytes(std::span<T, 1>(&value, 1));
}

}  // namespace xfilter
