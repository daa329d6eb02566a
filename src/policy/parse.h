// SPDX-License-Identifier: Apache-2.0
// policy/parse.h: from the text of rule files to a Policy. docs/rules.md has the language.
//
// One rule a line; `#` starts a comment. All errors of a file and of those that it includes are
// reported at once, each with its place. Bounds: kLargestFile bytes a file, kMostFiles files,
// kMostRules rules, kMostValues values in a set.
#pragma once

#include <functional>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/result.h"
#include "policy/diagnostic.h"
#include "policy/names.h"
#include "policy/policy.h"

namespace xfilter::policy {

inline constexpr std::size_t kLargestFile = 8 << 20;
inline constexpr std::size_t kMostFiles = 64;
inline constexpr std::size_t kMostRules = 100'000;
inline constexpr std::size_t kMostValues = 1'000;

inline constexpr const char* kAddedPlace = "added";  // as a file's name, of rules in no file

// One rule added to a policy while it was in force. Its place is added:ID.
struct AddedRule {
  int id = 0;  // from 1
  std::string text;
};

// What a rule file refers to. All may be missing; a rule that needs it is an error that says so.
struct Surroundings {
  const Names* users = nullptr;   // for `user NAME`
  const Names* groups = nullptr;  // for `group NAME`
  // For `include FILE`: the text of a file, by a path beside the one that includes it.
  std::function<Result<std::string>(const std::string& path)> read_file;
  // Rules that are in no file. They come before those of the files, in this order, and can use the
  // files' sets.
  std::vector<AddedRule> added = {};
};

using Diagnostics = std::vector<Diagnostic>;
tl::expected<Policy, Diagnostics> parse(std::string_view text, const std::string& file,
                                        const Surroundings& surroundings);
// The same, for who has something to say about the rules before they become a Policy.
tl::expected<Policy::Parts, Diagnostics> parse_parts(std::string_view text, const std::string& file,
                                                     const Surroundings& surroundings);

}  // namespace xfilter::policy
