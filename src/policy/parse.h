// SPDX-License-Identifier: Apache-2.0
// policy/parse.h: from the text of a rule file to a Policy. docs/rules.md has the language.
//
// One rule a line; `#` starts a comment. All errors of a file are reported at once, each with its
// place. Bounds: kLargestFile bytes, kMostRules rules, kMostValues values in a set.
#pragma once

#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "policy/diagnostic.h"
#include "policy/policy.h"
#include "policy/users.h"

namespace xfilter::policy {

inline constexpr std::size_t kLargestFile = 8 << 20;
inline constexpr std::size_t kMostRules = 100'000;
inline constexpr std::size_t kMostValues = 1'000;

// `users` is for `user NAME`; without it such a rule is an error that says so.
tl::expected<Policy, std::vector<Diagnostic>> parse(std::string_view text, const std::string& file,
                                                    const Users* users);

}  // namespace xfilter::policy
