// SPDX-License-Identifier: Apache-2.0
// policy/edit.h: rule files changed by programs, with everything else in them left as it is:
// comments, order, spaces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace xfilter::policy {

// `line` counts from 1; nothing happens when there is no such line.
std::string without_line(std::string_view text, int line);

// The rules, in their order, in front of the first rule that is there, so that they are asked
// before it.
std::string with_rules_first(std::string_view text, const std::vector<std::string>& rules);

}  // namespace xfilter::policy
