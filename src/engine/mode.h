// SPDX-License-Identifier: Apache-2.0
// engine/mode.h: whether verdicts are done, or only counted and told.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace xfilter::engine {

enum class Mode : std::uint8_t { enforce, observe };

inline const char* to_string(Mode mode) {
  return mode == Mode::enforce ? "enforce" : "observe";
}

inline std::optional<Mode> mode_of(std::string_view word) {
  for (const Mode mode : {Mode::enforce, Mode::observe})
    if (word == to_string(mode)) return mode;
  return std::nullopt;
}

}  // namespace xfilter::engine
