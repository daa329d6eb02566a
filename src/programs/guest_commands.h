// SPDX-License-Identifier: Apache-2.0
// programs/guest_commands.h: the subcommands that look into a guest: ps, sockets, image.
#pragma once

#include <CLI/CLI.hpp>

namespace xfilter::programs {

// Each adds its subcommand to `app`; when it was called it leaves its exit code in `exit_code`.
void add_ps_command(CLI::App& app, int& exit_code);
void add_sockets_command(CLI::App& app, int& exit_code);
void add_image_command(CLI::App& app, int& exit_code);

}  // namespace xfilter::programs
