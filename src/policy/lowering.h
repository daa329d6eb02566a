// SPDX-License-Identifier: Apache-2.0
// policy/lowering.h: what can be done with a packet by its headers alone, without its owner.
//
// The kernel decides only whether a packet waits: what no rule about the guest can change need not.
// Always right, perhaps not the least: a packet may be held for nothing, but never passed or
// dropped against the rules. Threads: any. Lifetime: points into the policy.
#pragma once

#include "policy/policy.h"

namespace xfilter::policy {

enum class Treatment : std::uint8_t {
  hold,  // the owner decides: the packet waits until it is known
  note,  // passes at once; its owner is found out afterwards
  drop,  // no owner could save it
};
const char* to_string(Treatment treatment);

struct HeaderClass {
  Treatment treatment = Treatment::hold;
  std::vector<const Match*> matches;  // about packets; all must hold
  const Rule* because = nullptr;      // the first rule that makes it so
};

struct Plan {
  std::vector<HeaderClass> classes;  // the first that fits decides
  Treatment otherwise = Treatment::note;
  const Rule* by_default = nullptr;  // the policy's

  Treatment treatment_of(const Subject& subject) const;
};

Plan lower(const Policy& policy);

}  // namespace xfilter::policy
