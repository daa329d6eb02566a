// SPDX-License-Identifier: Apache-2.0
// programs/rule_files.h: a rule file, and its users file, from disk.
#pragma once

#include <string>

#include "base/result.h"
#include "policy/policy.h"

namespace xfilter::programs {

// The error's message is complete: all diagnostics of the file, rendered.
Result<policy::Policy> load_policy(const std::string& rules_file, const std::string& users_file);

}  // namespace xfilter::programs
