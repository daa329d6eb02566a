// SPDX-License-Identifier: Apache-2.0
#include "model/owner.h"
#include "model/verdict.h"

namespace xfilter::model {

const char* to_string(Confidence confidence) {
  switch (confidence) {
    case Confidence::exact:
      return "exact";
    case Confidence::inferred:
      return "inferred";
    case Confidence::ambiguous:
      return "ambiguous";
    case Confidence::unknown:
      return "unknown";
  }
  return "unknown";
}

const char* to_string(Action action) {
  return action == Action::drop ? "drop" : "pass";
}

}  // namespace xfilter::model
