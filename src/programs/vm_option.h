// SPDX-License-Identifier: Apache-2.0
// programs/vm_option.h: how a command line names a VM that is filtered, and the way to its agent.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "control/client.h"

namespace xfilter::programs {

// --vm NAME, or the path of its control socket; without it the only VM that there is.
void add_vm_option(CLI::App& command, std::string& vm);
Result<control::Client> connect_to(const std::string& vm);

// The two in one, for a single question.
Result<nlohmann::json> ask(const std::string& vm, const nlohmann::json& request);

}  // namespace xfilter::programs
