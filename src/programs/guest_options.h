// SPDX-License-Identifier: Apache-2.0
// programs/guest_options.h: how a command line names a guest, and the way from there to a View of
// it.
#pragma once

#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "engine/guest.h"

namespace xfilter::programs {

struct GuestOptions {
  pid_t pid = 0;
  std::string image;
  int wait_seconds = 0;
};

void add_guest_options(CLI::App& command, GuestOptions& options);

// Opens the guest's memory, gives up every privilege, and only then reads it. Waits for a guest
// that is booting, at most as long as asked.
enum class Recording { off, on };  // see engine::Guest::record_pages
Result<std::unique_ptr<engine::Guest>> open_guest(const GuestOptions& options,
                                                  Recording recording = Recording::off);

// Adds a subcommand that looks into a guest and shows something, as a table or as JSON. More
// options can be added to what it returns.
enum class Shape { table, json };
CLI::App* add_view_command(CLI::App& app, const std::string& name, const std::string& help,
                           std::function<int(engine::Guest&, Shape)> show, int& exit_code);

// Prints "xfilter: ..." for people and returns the exit code of a failed command.
int report(const Error& error);

}  // namespace xfilter::programs
