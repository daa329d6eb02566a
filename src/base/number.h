// SPDX-License-Identifier: Apache-2.0
// base/number.h: a whole text as a number, or nothing.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace xfilter {

// No sign but a minus, no spaces, nothing behind it, and it fits.
template <class Number>
std::optional<Number> number_of(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace xfilter
