// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/expect.h: what must hold whatever the input. If not, the process stops: a finding.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace xfilter::fuzz {

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "xfilter: %s\n", what);
  std::abort();
}

}  // namespace xfilter::fuzz
