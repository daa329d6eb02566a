// SPDX-License-Identifier: Apache-2.0
#include <memory>

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

int run(const GuestOptions& options, bool as_json) {
  auto guest = open_guest(options);
  if (!guest) return report(guest.error());
  const auto& view = (*guest)->view();
  auto processes = engine::list_processes(view);
  if (!processes) return report(processes.error());
  if (as_json) {
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
  auto* command = app.add_subcommand("ps", "list the guest's processes, read from outside");
  auto options = std::make_shared<GuestOptions>();
  auto as_json = std::make_shared<bool>(false);
  add_guest_options(*command, *options);
  command->add_flag("--json", *as_json, "print JSON in place of a table");
  command->callback([=, &exit_code] { exit_code = run(*options, *as_json); });
}

}  // namespace xfilter::programs
