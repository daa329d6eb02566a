// SPDX-License-Identifier: Apache-2.0
#include "programs/rule_tables.h"

#include <fmt/format.h>
#include <pwd.h>

#include <filesystem>

#include "base/number.h"
#include "programs/table.h"

namespace xfilter::programs {
namespace {

using nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

// As policy::place_of: the file's name will do.
std::string place_of(const ordered_json& rule) {
  const int line = rule["line"];
  if (line == 0) return "built in";
  return fmt::format(
      "{}:{}", std::filesystem::path(rule["file"].get<std::string>()).filename().string(), line);
}

std::string duration_of(std::int64_t seconds) {
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 120 * 60) return fmt::format("{}m", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

// "uid 1000" of this host's.
std::string person_of(const std::string& by) {
  if (!by.starts_with("uid ")) return by;
  const auto uid = number_of<uid_t>(std::string_view(by).substr(4));
  const passwd* known = uid ? ::getpwuid(*uid) : nullptr;
  return known == nullptr ? by : known->pw_name;
}

}  // namespace

void print_json(const ordered_json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void print_explanation(const ordered_json& told) {
  Rows rows = {{"RULE", "OUTCOME", ""}};
  for (const auto& step : told["steps"]) {
    const auto& rule = step["rule"];
    std::string outcome = step["outcome"];
    std::string what = rule["text"];
    const char* const action = rule["action"] == "drop" ? "drop" : "pass";
    if (outcome == "missed")
      what = fmt::format("{}: {}", step["missed_on"].get<std::string>(),
                         step["found"].get<std::string>());
    if (outcome == "expired") what = step["found"];
    if (outcome == "observed") outcome = fmt::format("would {}", action);
    if (outcome == "decides") outcome = action;
    rows.push_back({place_of(rule), outcome, what});
  }
  print_table(rows);
  if (!told.contains("owner")) return;
  std::string owner = told["owner"]["confidence"];
  for (const auto& process : told["owner"]["processes"])
    owner += fmt::format(", pid {} uid {} {}", process["pid"].get<int>(),
                         process["uid"].get<std::uint32_t>(), process["exe"].get<std::string>());
  fmt::print("owner ({}): {}\n", told["owner_is"].get<std::string>(), owner);
  if (told["mode"] == "observe") fmt::print("mode observe: nothing is dropped\n");
}

void print_plan(const ordered_json& told) {
  Rows rows = {{"PACKETS", "TREATMENT", "BECAUSE OF", ""}};
  for (const auto& one : told["classes"])
    rows.push_back(
        {one["packets"], one["treatment"], place_of(one["because"]), one["because"]["text"]});
  rows.push_back(
      {"the rest", told["otherwise"], place_of(told["default"]), told["default"]["text"]});
  print_table(rows);
}

void print_rules(const ordered_json& told) {
  Rows rows = {{"RULE", "HITS", "AGE", "EXPIRES", "BY", ""}};
  for (const auto& rule : told["rules"]) {
    const auto left = rule.value("expires_in_s", std::int64_t{-1});
    rows.push_back({place_of(rule), std::to_string(rule["hits"].get<std::uint64_t>()),
                    duration_of(rule["age_s"]),
                    left < 0    ? "-"
                    : left == 0 ? "expired"
                                : "in " + duration_of(left),
                    rule.contains("by") ? person_of(rule["by"]) : "file", rule["text"]});
    if (const std::string why = rule.value("why", ""); !why.empty())
      rows.back().back() += "  # " + why;
  }
  const auto& rest = told["default"];
  rows.push_back({place_of(rest), std::to_string(rest["hits"].get<std::uint64_t>()), "", "-", "",
                  rest["text"]});
  print_table(rows);
  if (told["mode"] == "observe") fmt::print("mode observe: nothing is dropped\n");
}

void print_history(const ordered_json& told) {
  Rows rows = {{"CHANGE", "TIME", "BY", "WHAT"}};
  for (const auto& change : told["changes"])
    rows.push_back({std::to_string(change["change"].get<std::int64_t>()), change["time"],
                    person_of(change["by"]), change["what"]});
  print_table(rows);
}

}  // namespace xfilter::programs
