// SPDX-License-Identifier: Apache-2.0
// policy/names.h: names of a guest's users or groups, from a file in passwd(5) or group(5) format
// that the operator keeps. The host's own files say nothing about the guest.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace xfilter::policy {

class Names {
 public:
  // Both formats have the name first and the number third. input_invalid names the file and line.
  static Result<Names> parse(std::string_view text, const std::string& file);
  std::optional<std::uint32_t> find(const std::string& name) const;
  const std::map<std::string, std::uint32_t>& all() const { return by_name_; }

 private:
  std::map<std::string, std::uint32_t> by_name_;
};

}  // namespace xfilter::policy
