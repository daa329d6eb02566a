// SPDX-License-Identifier: Apache-2.0
// policy/tokens.h: the words of one line of a rule file, with their places.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace xfilter::policy {

struct Token {
  std::string_view text;  // a word, or one of { } ,
  int column = 0;         // from 1
};

// Up to the comment. Words end at white space and at { } ,
std::vector<Token> tokens_of(std::string_view line);

// The one of `known` that `word` was probably meant to be: at most two letters away. Empty if none.
std::string_view closest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace xfilter::policy
