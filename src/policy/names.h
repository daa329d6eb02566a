// SPDX-License-Identifier: Apache-2.0
// policy/users.h: names of a guest's users, from a file in passwd(5) format that the operator
// keeps. The host's own passwd says nothing about the guest.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace xfilter::policy {

class Users {
 public:
  // input_invalid names the file and line.
  static Result<Users> parse(std::string_view text, const std::string& file);
  std::optional<std::uint32_t> find(const std::string& name) const;
  const std::map<std::string, std::uint32_t>& all() const { return by_name_; }

 private:
  std::map<std::string, std::uint32_t> by_name_;
};

}  // namespace xfilter::policy
