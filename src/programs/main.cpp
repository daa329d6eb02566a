// SPDX-License-Identifier: Apache-2.0
// xfilter: one program; what it does is its subcommand.
#include <CLI/CLI.hpp>

#include "programs/doctor_command.h"
#include "programs/filter_commands.h"
#include "programs/guest_commands.h"

int main(int argc, char** argv) {
  CLI::App app("xFilter: drops one guest process's packets, from outside the VM");
  app.set_version_flag("--version", XFILTER_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  xfilter::programs::add_attach_command(app, exit_code);
  xfilter::programs::add_ps_command(app, exit_code);
  xfilter::programs::add_sockets_command(app, exit_code);
  xfilter::programs::add_doctor_command(app, exit_code);
  xfilter::programs::add_image_command(app, exit_code);
  xfilter::programs::add_control_commands(app, exit_code);
  xfilter::programs::add_rules_command(app, exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
