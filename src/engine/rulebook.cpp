// SPDX-License-Identifier: Apache-2.0
#include "engine/rulebook.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "policy/parse.h"

namespace xfilter::engine {
namespace {

using nlohmann::json;
using store::Entry;

constexpr std::size_t kLargestRuntimeRule = 64 << 10;

std::string text_of(const json& entry) {
  return entry.dump(-1, ' ', true, json::error_handler_t::replace);
}

// "kind" of an entry: rules, users, groups are files; then rule and mode.
std::string file_entry(const char* kind, const SourceFile& file) {
  return text_of({{"kind", kind}, {"path", file.path}, {"text", file.text}});
}

std::string kind_of(const Entry& entry) {
  const auto parsed = json::parse(entry.text, nullptr, false);
  return parsed.is_object() ? parsed.value("kind", "") : "";
}

bool is_of_sources(const Entry& entry) {
  const std::string kind = kind_of(entry);
  return kind == "rules" || kind == "users" || kind == "groups";
}

Result<std::optional<policy::Names>> names_of(const std::optional<SourceFile>& file) {
  if (!file) return std::nullopt;
  XF_TRY(names, policy::Names::parse(file->text, file->path));
  return std::optional(std::move(names));
}

}  // namespace

Result<void> Rulebook::read_entry(const Entry& entry) try {
  const auto parsed = json::parse(entry.text);
  const std::string kind = parsed.at("kind");
  if (kind == "mode") {
    mode_ = mode_of(parsed.at("mode").get<std::string>()).value();
  } else if (kind == "rule") {
    runtime_.push_back({static_cast<int>(entry.id), parsed.at("text"), parsed.at("by"),
                        parsed.at("why"),
                        std::chrono::sys_seconds(std::chrono::seconds(parsed.at("added")))});
  } else {
    SourceFile file{parsed.at("path"), parsed.at("text")};
    if (kind == "users")
      sources_.users = std::move(file);
    else if (kind == "groups")
      sources_.groups = std::move(file);
    else
      sources_.files.push_back(std::move(file));
  }
  return {};
} catch (const std::exception& error) {
  return fail(Errc::input_invalid, "entry {} of the store is no part of a policy: {}", entry.id,
              error.what());
}

Result<Rulebook> Rulebook::of(store::Version version, const UseTable& uses,
                              std::chrono::seconds now) {
  Rulebook book;
  book.entries_ = std::move(version.entries);
  book.next_entry_ = version.next_entry;
  for (const Entry& entry : book.entries_) XF_CHECK(book.read_entry(entry));
  XF_CHECK(book.build(uses, now));
  return book;
}

Result<void> Rulebook::build(const UseTable& uses, std::chrono::seconds now) {
  XF_TRY(users, names_of(sources_.users));
  XF_TRY(groups, names_of(sources_.groups));
  policy::Surroundings surroundings{
      users ? &*users : nullptr, groups ? &*groups : nullptr,
      [&](const std::string& path) -> Result<std::string> {
        for (const SourceFile& file : sources_.files)
          if (file.path == path) return file.text;
        return fail(Errc::input_invalid, "{}: is not among the files that were sent", path);
      }};
  for (auto rule = runtime_.rbegin(); rule != runtime_.rend(); ++rule)
    surroundings.added.push_back({rule->id, rule->text});
  const SourceFile none{"no rule file", ""};
  const SourceFile& main = sources_.files.empty() ? none : sources_.files.front();
  auto parts = policy::parse_parts(main.text, main.path, surroundings);
  if (!parts)
    return fail(Errc::input_invalid, "{}{} error{}", policy::render(parts.error()),
                parts.error().size(), parts.error().size() == 1 ? "" : "s");

  // The same rule, written several times in a file, has several names.
  std::map<std::string, int> copies;
  const auto name_of = [&](const policy::Rule& rule) {
    if (rule.place.file == policy::kAddedPlace) return place_of(rule);
    std::string name = rule.place.file + "\n" + rule.place.text;
    if (const int copy = copies[name]++; copy > 0) name += fmt::format("\n{}", copy);
    return name;
  };
  for (policy::Rule& rule : parts->rules) {
    const auto known = uses.find(name_of(rule));
    rule.loaded_at = known == uses.end() ? now : known->second.loaded_at;
  }
  policy_ = std::make_shared<const policy::Policy>(std::move(*parts));
  copies.clear();
  for (const policy::Rule& rule : policy_->rules()) use_names_.push_back(name_of(rule));
  use_names_.push_back("default");
  return {};
}

Result<Rulebook> Rulebook::with_sources(const RuleSources& sources, const UseTable& uses,
                                        std::chrono::seconds now) const {
  std::vector<std::string> texts;
  for (const SourceFile& file : sources.files) texts.push_back(file_entry("rules", file));
  if (sources.users) texts.push_back(file_entry("users", *sources.users));
  if (sources.groups) texts.push_back(file_entry("groups", *sources.groups));

  // Files that are the same stay; but their order says which is the first, so it is all or none.
  std::vector<std::string> before;
  std::vector<Entry> entries;
  for (const Entry& entry : entries_)
    if (is_of_sources(entry))
      before.push_back(entry.text);
    else
      entries.push_back(entry);
  if (before == texts) return *this;
  std::int64_t next = next_entry_;
  for (std::string& text : texts) entries.push_back({next++, std::move(text)});
  // A rule that was in a file once, and is written again, is a new one.
  UseTable in_force;
  for (const std::string& name : use_names_)
    if (const auto use = uses.find(name); use != uses.end()) in_force.insert(*use);
  return of({0, next, std::move(entries)}, in_force, now);
}

Result<Rulebook> Rulebook::with_rule(std::string text, std::string by, std::string why,
                                     const UseTable& uses, std::chrono::seconds now) const {
  if (text.size() > kLargestRuntimeRule)
    return fail(Errc::input_invalid, "a rule of more than {} KiB: put it into a rule file",
                kLargestRuntimeRule >> 10);
  const auto added = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  auto entries = entries_;
  entries.push_back({next_entry_, text_of({{"kind", "rule"},
                                           {"text", std::move(text)},
                                           {"by", std::move(by)},
                                           {"why", std::move(why)},
                                           {"added", added.time_since_epoch().count()}})});
  return of({0, next_entry_ + 1, std::move(entries)}, uses, now);
}

Result<Rulebook> Rulebook::without_rules(const std::vector<int>& ids, const UseTable& uses,
                                         std::chrono::seconds now) const {
  auto entries = entries_;
  for (const int id : ids) {
    const auto rule = std::find_if(runtime_.begin(), runtime_.end(),
                                   [&](const RuntimeRule& any) { return any.id == id; });
    if (rule == runtime_.end())
      return fail(Errc::input_invalid, "there is no rule added:{}: `xfilter rules list` shows them",
                  id);
    std::erase_if(entries, [&](const Entry& entry) { return entry.id == id; });
  }
  return of({0, next_entry_, std::move(entries)}, uses, now);
}

Result<Rulebook> Rulebook::with_mode(Mode mode, const UseTable& uses,
                                     std::chrono::seconds now) const {
  if (mode == mode_) return *this;
  auto entries = entries_;
  std::erase_if(entries, [](const Entry& entry) { return kind_of(entry) == "mode"; });
  entries.push_back({next_entry_, text_of({{"kind", "mode"}, {"mode", to_string(mode)}})});
  return of({0, next_entry_ + 1, std::move(entries)}, uses, now);
}

const RuntimeRule* Rulebook::runtime_rule(const policy::Rule& rule) const {
  if (rule.place.file != policy::kAddedPlace) return nullptr;
  const auto found = std::lower_bound(runtime_.begin(), runtime_.end(), rule.place.line,
                                      [](const RuntimeRule& any, int id) { return any.id < id; });
  return found == runtime_.end() || found->id != rule.place.line ? nullptr : &*found;
}

store::Change Rulebook::difference(const Rulebook& from, const Rulebook& to) {
  const auto ids_of = [](const Rulebook& book) {
    std::unordered_set<std::int64_t> ids;
    for (const Entry& entry : book.entries_) ids.insert(entry.id);
    return ids;
  };
  const auto before = ids_of(from), after = ids_of(to);
  store::Change change;
  for (const Entry& entry : from.entries_)
    if (!after.contains(entry.id)) change.taken.push_back(entry.id);
  for (const Entry& entry : to.entries_)
    if (!before.contains(entry.id)) change.put.push_back(entry);
  return change;
}

}  // namespace xfilter::engine
