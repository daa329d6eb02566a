// SPDX-License-Identifier: Apache-2.0
// programs/table.h: rows of text as columns that fit a terminal.
#pragma once

#include <string>
#include <vector>

namespace xfilter::programs {

inline constexpr std::size_t kTableWidth = 100;

// Prints rows (the first is the heading) to standard output, at most kTableWidth columns wide: the
// last column gives way first. Control characters, which guests may have put into names, are shown
// as '?'.
void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace xfilter::programs
