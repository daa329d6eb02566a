// SPDX-License-Identifier: Apache-2.0
// policy/lint.h: rules that are sound and yet cannot be meant: that contradict themselves, or that
// never come to be asked.
//
// Threads: any. Cost: each rule is compared with those before it, up to kMostCompared.
#pragma once

#include "policy/diagnostic.h"
#include "policy/policy.h"

namespace xfilter::policy {

inline constexpr std::size_t kMostCompared = 2'000;

// Warnings, in the order of the search.
std::vector<Diagnostic> lint(const Policy& policy);

// The default, when it drops and no rule allows anything: then nothing that the VM sends can pass.
// None otherwise.
const Rule* cuts_off(const Policy& policy);

}  // namespace xfilter::policy
