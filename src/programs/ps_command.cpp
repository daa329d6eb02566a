// SPDX-License-Identifier: Apache-2.0
#include "engine/inventory.h"
#include "programs/guest_commands.h"
#include "programs/guest_options.h"
#include "programs/table.h"

namespace xfilter::programs {
namespace {

using engine::CommandLines;

constexpr std::size_t kShortId = 12;  // as container tools show ids

std::string command_of(const engine::ProcessEntry& entry, CommandLines command_lines) {
  if (entry.is_kernel_thread) return "[" + entry.process.comm + "]";
  if (command_lines == CommandLines::redacted) return "-";
  std::string text;
  for (const std::string& argument : entry.process.cmdline)
    text += (text.empty() ? "" : " ") + argument;
  return text;
}

std::string exe_of(const model::Process& process) {
  return process.exe + (process.exe_is_deleted ? " (deleted)" : "");
}

// What marks a process out: that it hides, or its container.
std::string marks_of(const model::Process& process) {
  std::string marks = process.is_hidden ? "HIDDEN" : "";
  if (!process.container.empty())
    marks += (marks.empty() ? "" : " ") + process.container.substr(0, kShortId);
  return marks;
}

int show(engine::Guest& guest, Shape shape, CommandLines command_lines) {
  const engine::ProcessList list = engine::list_processes(guest.view());
  if (shape == Shape::json) {
    fmt::print("{}\n", engine::to_json(list, command_lines).dump(2));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {
      {"PID", "PPID", "UID", "START", "COMM", "CONTAINER", "EXE", "COMMAND"}};
  for (const auto& entry : list.processes) {
    const model::Process& process = entry.process;
    const double started = static_cast<double>(process.id.start_boottime.count()) / 1e9;
    const std::int32_t parent = process.parents.empty() ? 0 : process.parents.front().id.pid;
    rows.push_back({std::to_string(process.id.pid), std::to_string(parent),
                    std::to_string(process.uid), fmt::format("{:.2f}", started), process.comm,
                    marks_of(process), exe_of(process), command_of(entry, command_lines)});
  }
  print_table(rows);
  if (list.incomplete)
    fmt::print(stderr, "xfilter: there may be more processes: {}\n", list.incomplete->message);
  return 0;
}

}  // namespace

void add_ps_command(CLI::App& app, int& exit_code) {
  auto is_shown = std::make_shared<bool>(false);
  auto* command = add_view_command(
      app, "ps", "list the guest's processes, read from outside",
      [is_shown](engine::Guest& guest, Shape shape) {
        return show(guest, shape, *is_shown ? CommandLines::shown : CommandLines::redacted);
      },
      exit_code);
  command->add_flag("--command-lines", *is_shown, "show the tenants' command lines too");
}

}  // namespace xfilter::programs
