// SPDX-License-Identifier: Apache-2.0
// tests/unit/policy/golden.h: tests/golden/policy/*.golden, read. README.md there has the format.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "policy/parse.h"
#include "tests/unit/policy/cases.h"

namespace xfilter::policy {

struct Golden {
  std::string file, rules, users, groups, errors, warnings, plan;
  std::map<std::string, std::string> included;  // by name
  std::vector<Case> cases;
  bool is_wrong = false;  // has a section of errors
};

inline Golden read_golden(const std::filesystem::path& path) {
  Golden golden;
  golden.file = path.filename().string();
  std::ifstream in(path);
  std::string section;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("--- ")) {
      section = line.substr(4);
      golden.is_wrong |= section == "errors";
    } else if (section.starts_with("file "))
      golden.included[section.substr(5)] += line + "\n";
    else if (section == "rules")
      golden.rules += line + "\n";
    else if (section == "users")
      golden.users += line + "\n";
    else if (section == "groups")
      golden.groups += line + "\n";
    else if (section == "warnings")
      golden.warnings += line + "\n";
    else if (section == "plan")
      golden.plan += line + "\n";
    else if (section == "errors")
      golden.errors += line + "\n";
    else if (section == "cases" && !line.empty()) {
      golden.cases.push_back(read_case(line));
    }
  }
  return golden;
}

inline std::vector<Golden> all_goldens() {
  std::vector<Golden> all;
  for (const auto& entry : std::filesystem::directory_iterator(XFILTER_TESTS_DIR "/golden/policy"))
    if (entry.path().extension() == ".golden") all.push_back(read_golden(entry.path()));
  return all;
}

inline tl::expected<Policy::Parts, Diagnostics> parse_golden_parts(const Golden& golden) {
  const auto users = Names::parse(golden.users, "users").value();
  const auto groups = Names::parse(golden.groups, "groups").value();
  const auto read_file = [&](const std::string& path) -> Result<std::string> {
    const auto found = golden.included.find(path);
    if (found != golden.included.end()) return found->second;
    return fail(Errc::input_invalid, "{}: No such file or directory", path);
  };
  return parse_parts(golden.rules, "office.rules",
                     {golden.users.empty() ? nullptr : &users,
                      golden.groups.empty() ? nullptr : &groups, read_file});
}

inline tl::expected<Policy, Diagnostics> parse_golden(const Golden& golden) {
  return parse_golden_parts(golden).map(
      [](Policy::Parts parts) { return Policy(std::move(parts)); });
}

}  // namespace xfilter::policy
