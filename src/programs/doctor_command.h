// SPDX-License-Identifier: Apache-2.0
// programs/doctor_command.h: can this host, and this guest, be filtered? Each check: ok, or what is
// wrong and what to do.
#pragma once

#include <CLI/CLI.hpp>

namespace xfilter::programs {

void add_doctor_command(CLI::App& app, int& exit_code);

}  // namespace xfilter::programs
