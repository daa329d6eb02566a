// SPDX-License-Identifier: Apache-2.0
// engine/owner_json.h: processes and owners in the JSON form of docs/output.md, the same wherever
// they are shown.
#pragma once

#include <nlohmann/json.hpp>

#include "model/owner.h"

namespace xfilter::engine {

// The guest's bytes as JSON text: what is not UTF-8 is replaced.
std::string printable(const std::string& text);

// What tenants type, passwords too, is in their processes' command lines: shown only where the
// operator wants it.
enum class CommandLines { redacted, shown };

nlohmann::json to_json(const model::Process& process, CommandLines command_lines);
nlohmann::json to_json(const model::Owner& owner, CommandLines command_lines);

}  // namespace xfilter::engine
