// SPDX-License-Identifier: Apache-2.0
// status, mode, events: a running agent, asked through its control socket.
#include <memory>

#include "programs/filter_commands.h"
#include "programs/guest_options.h"
#include "programs/rule_tables.h"
#include "programs/table.h"
#include "programs/vm_option.h"
#include "store/store.h"

namespace xfilter::programs {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct Options {
  std::string vm, mode, store;
  std::int64_t last = 0;
  bool is_json = false;
};

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_status(const json& told) {
  std::vector<std::vector<std::string>> rows = {{"VM", text_of(told["vm"])}};
  const auto& judged = told["judged"];
  rows.push_back({"mode", text_of(told["mode"])});
  rows.push_back(
      {"guest", told["guest"] == "" ? "its kernel is being looked for" : text_of(told["guest"])});
  rows.push_back({"rules", fmt::format("{}, {} of them added at run time", text_of(told["rules"]),
                                       text_of(told["rules_added"]))});
  for (const auto& file : told["files"]) rows.push_back({"rule file", text_of(file)});
  rows.push_back({"flows", text_of(told["flows"])});
  rows.push_back({"judged", fmt::format("{} passed, {} dropped", text_of(judged["passed"]),
                                        text_of(judged["dropped"]))});
  if (judged["would_drop"] != 0)
    rows.back().back() +=
        fmt::format("; {} of those passed would be dropped", text_of(judged["would_drop"]));
  for (const auto& netdev : told["netdevs"])
    rows.push_back(
        {text_of(netdev["name"]),
         fmt::format("in the kernel {} passed, {} dropped; {} held, {} released, {} not held",
                     text_of(netdev["passed"]), text_of(netdev["dropped"]), text_of(netdev["held"]),
                     text_of(netdev["released"]), text_of(netdev["not_held"]))});
  print_table(rows);
}

Result<void> status(const Options& options) {
  XF_TRY(told, ask(options.vm, {{"do", "status"}}));
  if (options.is_json)
    print_json(ordered_json(told));
  else
    print_status(told);
  return {};
}

Result<void> mode(const Options& options) {
  XF_TRY(told, ask(options.vm, {{"do", "mode"}, {"mode", options.mode}}));
  if (options.is_json)
    print_json(ordered_json(told));
  else if (told.value("changed", false))
    fmt::print("mode {}; {} flows judged again, {} of them otherwise\n", options.mode,
               told["flows"]["judged_again"].get<std::size_t>(),
               told["flows"]["changed"].get<std::size_t>());
  else
    fmt::print("mode {} already\n", options.mode);
  return {};
}

Result<void> events(const Options& options) {
  if (!options.store.empty()) {
    XF_TRY(lines, store::read_last_events(options.store, options.last > 0 ? options.last : 1000));
    for (const std::string& line : lines) fmt::print("{}\n", line);
    return {};
  }
  XF_TRY(client, connect_to(options.vm));
  XF_CHECK(client.ask({{"do", "events"}}));
  for (std::int64_t told = 0; options.last == 0 || told < options.last; ++told) {
    XF_TRY(line, client.next_line());
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

void add_control_commands(CLI::App& app, int& exit_code) {
  const auto add = [&](const char* name, const char* help, Result<void> (*run)(const Options&)) {
    auto* command = app.add_subcommand(name, help);
    auto options = std::make_shared<Options>();
    add_vm_option(*command, options->vm);
    command->callback([=, &exit_code] {
      auto done = run(*options);
      exit_code = done ? 0 : report(done.error());
    });
    return std::pair(command, options);
  };
  {
    const auto [command, options] = add("status", "show what a running agent does", status);
    command->add_flag("--json", options->is_json, "as JSON");
  }
  {
    const auto [command, options] =
        add("mode", "enforce verdicts, or only observe: count and tell them", mode);
    command->add_option("mode", options->mode, "enforce or observe")
        ->required()
        ->check(CLI::IsMember({"enforce", "observe"}));
    command->add_flag("--json", options->is_json, "as JSON");
  }
  {
    const auto [command, options] =
        add("events", "follow events as they come, as JSON lines", events);
    command->add_option("--most", options->last, "so many, then end");
    command->add_option("--store", options->store,
                        "those of the past, from a store (/var/lib/xfilter/NAME.db)");
  }
}

}  // namespace xfilter::programs
