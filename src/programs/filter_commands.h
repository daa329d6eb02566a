// SPDX-License-Identifier: Apache-2.0
// programs/filter_commands.h: the subcommands about rules: attach, rules check.
#pragma once

#include <CLI/CLI.hpp>

namespace xfilter::programs {

// Each adds its subcommand to `app`; when it was called it leaves its exit code in `exit_code`.
void add_attach_command(CLI::App& app, int& exit_code);
void add_rules_command(CLI::App& app, int& exit_code);

}  // namespace xfilter::programs
