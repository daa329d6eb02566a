// SPDX-License-Identifier: Apache-2.0
// The tools for the rules of a running agent: list, add, del, save, reload, history, undo.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/number.h"
#include "policy/edit.h"
#include "programs/filter_commands.h"
#include "programs/guest_options.h"
#include "programs/rule_files.h"
#include "programs/rule_tables.h"
#include "programs/vm_option.h"

namespace xfilter::programs {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct Options {
  std::string vm;
  RuleFiles files;
  std::vector<std::string> words;
  std::string why;
  std::int64_t to = 0;
  std::int64_t most = 20;
  bool may_cut_off = false;
  bool is_json = false;
};

json file_json(const engine::SourceFile& file) {
  return {{"path", file.path}, {"text", file.text}};
}

json reload_request(const engine::RuleSources& sources, const Options& options) {
  json request = {{"do", "reload"}, {"files", json::array()}, {"yes", options.may_cut_off}};
  for (const engine::SourceFile& file : sources.files) request["files"].push_back(file_json(file));
  if (sources.users) request["users"] = file_json(*sources.users);
  if (sources.groups) request["groups"] = file_json(*sources.groups);
  return request;
}

void print_change(const json& answer, const Options& options) {
  if (options.is_json) return print_json(ordered_json(answer));
  if (!answer.value("changed", false)) return fmt::print("nothing to change\n");
  for (const auto& warning : answer.value("warnings", json::array()))
    fmt::print(stderr, "warning: {}\n", warning.get<std::string>());
  fmt::print("change {}: {} rules in force, mode {}; {} flows judged again, {} of them otherwise\n",
             answer["change"].get<std::int64_t>(), answer["rules"].get<std::size_t>(),
             answer["mode"].get<std::string>(), answer["flows"]["judged_again"].get<std::size_t>(),
             answer["flows"]["changed"].get<std::size_t>());
}

// The texts as they are in force.
Result<engine::RuleSources> sources_in_force(control::Client& client) {
  XF_TRY(answer, client.ask({{"do", "sources"}}));
  const auto file_of = [](const json& file) {
    return engine::SourceFile{file["path"], file["text"]};
  };
  engine::RuleSources sources;
  for (const json& file : answer["files"]) sources.files.push_back(file_of(file));
  if (answer.contains("users")) sources.users = file_of(answer["users"]);
  if (answer.contains("groups")) sources.groups = file_of(answer["groups"]);
  return sources;
}

// From the same paths, as they are on disk now.
Result<LoadedSources> read_again(const engine::RuleSources& sources, RuleFiles files) {
  if (files.rules.empty()) files.rules = sources.files.front().path;
  if (files.users.empty() && sources.users) files.users = sources.users->path;
  if (files.groups.empty() && sources.groups) files.groups = sources.groups->path;
  return load_sources(files);
}

Error still_in_force(const Error& error) {
  return {error.code, error.message + "\nthe policy in force stays as it is"};
}

Result<void> list(const Options& options) {
  XF_TRY(answer, ask(options.vm, {{"do", "rules"}}));
  if (options.is_json)
    print_json(ordered_json(answer));
  else
    print_rules(ordered_json(answer));
  return {};
}

Result<void> add(const Options& options) {
  std::string rule;
  for (const std::string& word : options.words) rule += (rule.empty() ? "" : " ") + word;
  XF_TRY(answer,
         ask(options.vm,
             {{"do", "add"}, {"rule", rule}, {"why", options.why}, {"yes", options.may_cut_off}}));
  if (!options.is_json) fmt::print("added:{}\n", answer["newest"].get<int>());
  print_change(answer, options);
  return {};
}

// The path of a rule file in force, by that or by its name.
Result<std::string> path_called(const engine::RuleSources& sources, const std::string& name) {
  for (const engine::SourceFile& file : sources.files)
    if (file.path == std::filesystem::absolute(name) ||
        std::filesystem::path(file.path).filename() == name)
      return file.path;
  return fail(Errc::input_invalid, "{} is no rule file in force here: `xfilter status` lists them",
              name);
}

// Writes a file that is in force, as `edit` makes it, and reloads.
template <class Edit>
Result<json> rewrite(control::Client& client, const Options& options, engine::RuleSources sources,
                     const std::string& path, const json& more, Edit edit) {
  const auto file = std::find_if(sources.files.begin(), sources.files.end(),
                                 [&](const auto& any) { return any.path == path; });
  XF_TRY(on_disk, read_text_file(file->path));
  if (on_disk != file->text)
    return fail(Errc::input_invalid,
                "{} is not as it was loaded: reload it first, so that it is clear what would be "
                "written",
                file->path);
  file->text = edit(file->text);
  // Asked first: a file is only written that can be in force.
  json request = reload_request(sources, options);
  request.update(more);
  XF_TRY(next, NextText::write(file->path, file->text));
  XF_TRY(answer, client.ask(request));
  if (auto replaced = next.replace(); !replaced)
    return fail(Errc::host_refused,
                "{}: the change is in force, but the file is as it was: `xfilter rules undo` takes "
                "it back",
                replaced.error().message);
  return answer;
}

// added:NUMBER or NUMBER, several of them; or one FILE:LINE.
Result<void> del(const Options& options) {
  XF_TRY(client, connect_to(options.vm));
  std::vector<int> added;
  for (const std::string& word : options.words) {
    const auto colon = word.rfind(':');
    const auto number = number_of<int>(std::string_view(word).substr(colon + 1));
    if (!number)
      return fail(Errc::input_invalid,
                  "\"{}\": expected added:NUMBER or FILE:LINE, as `xfilter rules list` shows them",
                  word);
    const std::string file =
        colon == std::string::npos ? policy::kAddedPlace : word.substr(0, colon);
    if (file == policy::kAddedPlace) {
      added.push_back(*number);
      continue;
    }
    if (options.words.size() > 1)
      return fail(Errc::input_invalid, "one rule of a file at a time: lines move when one goes");
    XF_TRY(sources, sources_in_force(client));
    XF_TRY(path, path_called(sources, file));
    XF_TRY(told, client.ask({{"do", "rules"}}));
    if (std::none_of(told["rules"].begin(), told["rules"].end(), [&](const json& rule) {
          return rule["line"] == *number && rule["file"] == path;
        }))
      return fail(Errc::input_invalid, "there is no rule {}: `xfilter rules list` shows them",
                  word);
    XF_TRY(answer,
           rewrite(client, options, std::move(sources), path, json::object(),
                   [&](const std::string& text) { return policy::without_line(text, *number); }));
    print_change(answer, options);
    return {};
  }
  XF_TRY(answer, client.ask({{"do", "del"}, {"rules", added}, {"yes", options.may_cut_off}}));
  print_change(answer, options);
  return {};
}

// Into the file what was added at run time.
Result<void> save(const Options& options) {
  XF_TRY(client, connect_to(options.vm));
  XF_TRY(told, client.ask({{"do", "rules"}}));
  std::vector<std::string> texts;
  std::vector<int> ids;
  for (const json& rule : told["rules"]) {
    if (rule["file"] != policy::kAddedPlace || rule["section"] == "learned") continue;
    if (rule.contains("expires_in_s")) {
      fmt::print(stderr, "added:{} expires: it is not saved\n", rule["line"].get<int>());
      continue;
    }
    std::string text = rule["text"];
    if (const std::string why = rule.value("why", ""); !why.empty()) text += "  # " + why;
    texts.push_back(text);
    ids.push_back(rule["line"]);
  }
  if (ids.empty()) {
    fmt::print("nothing to save: no rule that stays was added at run time\n");
    return {};
  }
  XF_TRY(sources, sources_in_force(client));
  const std::string path = sources.files.front().path;
  XF_TRY(answer,
         rewrite(client, options, std::move(sources), path, {{"saved", ids}},
                 [&](const std::string& text) { return policy::with_rules_first(text, texts); }));
  print_change(answer, options);
  return {};
}

Result<void> reload(const Options& options) {
  XF_TRY(client, connect_to(options.vm));
  XF_TRY(before, sources_in_force(client));
  const auto sources = read_again(before, options.files);
  if (!sources) return fail(still_in_force(sources.error()));
  const auto answer = client.ask(reload_request(sources->sources, options));
  if (!answer) return fail(still_in_force(answer.error()));
  print_change(*answer, options);
  return {};
}

Result<void> history(const Options& options) {
  XF_TRY(answer, ask(options.vm, {{"do", "history"}, {"most", options.most}}));
  if (options.is_json)
    print_json(ordered_json(answer));
  else
    print_history(ordered_json(answer));
  return {};
}

Result<void> undo(const Options& options) {
  json request = {{"do", "undo"}, {"yes", options.may_cut_off}};
  if (options.to != 0) request["to"] = options.to;
  XF_TRY(answer, ask(options.vm, request));
  print_change(answer, options);
  return {};
}

}  // namespace

void add_running_rules_commands(CLI::App& rules, int& exit_code) {
  const auto add_one = [&](const char* name, const char* help,
                           Result<void> (*run)(const Options&)) {
    auto* command = rules.add_subcommand(name, help);
    auto options = std::make_shared<Options>();
    add_vm_option(*command, options->vm);
    command->add_flag("--json", options->is_json, "as JSON");
    command->callback([=, &exit_code] {
      auto done = run(*options);
      exit_code = done ? 0 : report(done.error());
    });
    return std::pair(command, options);
  };
  const auto may_cut_off = [](CLI::App* command, Options& options) {
    command->add_flag("--yes", options.may_cut_off, "also when nothing of the VM can pass then");
  };
  add_one("list", "show the rules in force: hits, age, where from, expiry", list);
  {
    const auto [command, options] = add_one("add", "add a rule, before those there are", add);
    command->add_option("rule", options->words, "such as: drop tcp dport 25 uid 33 expires 1h")
        ->required();
    command->add_option("--why", options->why, "to remember it by");
    may_cut_off(command, *options);
  }
  {
    const auto [command, options] =
        add_one("del", "take a rule out: added at run time, or out of its file", del);
    command->add_option("rule", options->words, "added:NUMBER ..., or FILE:LINE")->required();
    may_cut_off(command, *options);
  }
  add_one("save", "write the rules that were added at run time into the rule file", save);
  {
    const auto [command, options] = add_one("reload", "read the rule file again", reload);
    command->add_option("file", options->files.rules, "another rule file");
    add_names_options(*command, options->files);
    may_cut_off(command, *options);
  }
  {
    const auto [command, options] = add_one("history", "show who changed what", history);
    command->add_option("--most", options->most, "how many changes")->capture_default_str();
  }
  {
    const auto [command, options] =
        add_one("undo", "take the last change back; again: the one before", undo);
    command->add_option("--to", options->to, "go to how it was after this change");
    may_cut_off(command, *options);
  }
}

}  // namespace xfilter::programs
