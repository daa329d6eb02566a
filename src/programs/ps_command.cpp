// SPDX-License-Identifier: Apache-2.0
#include "engine/inventory.h"
#include "programs/guest_commands.h"
#include "programs/guest_options.h"
#include "programs/table.h"

namespace xfilter::programs {
namespace {

std::string command_of(const engine::ProcessEntry& process) {
  if (process.task.is_kernel_thread) return "[" + process.task.comm + "]";
  std::string text;
  for (const std::string& argument : process.cmdline) text += (text.empty() ? "" : " ") + argument;
  return text;
}

int show(engine::Guest& guest, Shape shape) {
  const auto& view = guest.view();
  auto processes = engine::list_processes(view);
  if (!processes) return report(processes.error());
  if (shape == Shape::json) {
    fmt::print("{}\n", engine::to_json(*processes, view.profile().banner).dump(2));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {
      {"PID", "PPID", "UID", "START", "COMM", "EXE", "COMMAND"}};
  for (const auto& process : *processes) {
    const double started = static_cast<double>(process.task.start_boottime.count()) / 1e9;
    rows.push_back({std::to_string(process.task.pid), std::to_string(process.parent_pid),
                    std::to_string(process.cred.euid), fmt::format("{:.2f}", started),
                    process.task.comm, process.exe, command_of(process)});
  }
  print_table(rows);
  return 0;
}

}  // namespace

void add_ps_command(CLI::App& app, int& exit_code) {
  add_view_command(app, "ps", "list the guest's processes, read from outside", show, exit_code);
}

}  // namespace xfilter::programs
