// SPDX-License-Identifier: Apache-2.0
// programs/filter_commands.h: the subcommands that filter: attach, its agent's, and rules.
#pragma once

#include <CLI/CLI.hpp>

namespace xfilter::programs {

// Each adds its subcommand to `app`; when it was called it leaves its exit code in `exit_code`.
void add_attach_command(CLI::App& app, int& exit_code);
void add_control_commands(CLI::App& app, int& exit_code);  // status, mode, events
void add_rules_command(CLI::App& app, int& exit_code);
// Those of `rules` that ask a running agent.
void add_running_rules_commands(CLI::App& rules, int& exit_code);

}  // namespace xfilter::programs
