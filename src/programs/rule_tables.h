// SPDX-License-Identifier: Apache-2.0
// programs/rule_tables.h: rules, explanations and plans for people, from their JSON form: the same
// whether a file or a running agent was asked.
#pragma once

#include <nlohmann/json.hpp>

namespace xfilter::programs {

void print_json(const nlohmann::ordered_json& json);
void print_explanation(const nlohmann::ordered_json& told);  // of policy::to_json(steps)
void print_plan(const nlohmann::ordered_json& told);         // of policy::to_json(plan)
void print_rules(const nlohmann::ordered_json& told);        // of the agent's "rules"
void print_history(const nlohmann::ordered_json& told);      // of the agent's "history"

}  // namespace xfilter::programs
