// SPDX-License-Identifier: Apache-2.0
// base/circle.h: notices that a walk runs in a circle, without remembering where it was.
//
// A guest can tie a list's end to its middle. The walk's budget ends that, but a budget has room
// for the longest honest list, and a packet should not cost that much. This is Brent's algorithm:
// one place is kept, and replaced each time the way has doubled; coming back to it is a circle.
// Failure: a circle that changes while we are in it may go unnoticed; hence the budget too.
// Cost:    a comparison a step; a circle of n places with m before it is noticed after at most
//          3 * (n + m) steps.
#pragma once

#include <cstdint>

namespace xfilter {

class CircleCheck {
 public:
  // Whether the walk was at `place` before. To be asked once a step.
  bool closes_at(std::uint64_t place) {
    if (steps_ != 0 && place == kept_) return true;
    if (++steps_ == next_) {
      kept_ = place;
      next_ *= 2;
    }
    return false;
  }

 private:
  std::uint64_t kept_ = 0, steps_ = 0, next_ = 1;
};

}  // namespace xfilter
