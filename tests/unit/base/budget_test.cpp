// SPDX-License-Identifier: Apache-2.0
#include "base/budget.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/circle.h"

namespace xfilter {
namespace {

RC_GTEST_PROP(Budget, what_is_spent_and_what_is_left_are_what_was_given,
              (std::uint64_t given, const std::vector<std::uint64_t>& wishes)) {
  Budget budget(given);
  std::uint64_t spent = 0;
  for (const std::uint64_t wish : wishes) {
    const bool has_room = wish <= given - spent;
    RC_ASSERT(budget.spend("test", wish).has_value() == has_room);
    if (has_room) spent += wish;
    RC_ASSERT(budget.spent() == spent);
    RC_ASSERT(budget.left() == given - spent);
  }
}

TEST(Budget, more_than_there_is_costs_nothing_and_says_what_for) {
  Budget budget(7);
  const auto spent = budget.spend("task list", UINT64_MAX);
  ASSERT_FALSE(spent);
  EXPECT_EQ(spent.error().message, "task list: no end after 7 steps");
  EXPECT_EQ(budget.left(), 7u);
}

// A way of `tail` places into a circle of `length`: every endless walk of a finite guest.
RC_GTEST_PROP(CircleCheck, every_circle_is_noticed_within_three_times_its_way, ()) {
  const auto tail = *rc::gen::inRange<std::uint64_t>(0, 1000);
  const auto length = *rc::gen::inRange<std::uint64_t>(1, 1000);
  CircleCheck circle;
  std::uint64_t steps = 0, place = 0;
  while (!circle.closes_at(place)) {
    RC_ASSERT(++steps <= 3 * (tail + length));
    place = place + 1 < tail + length ? place + 1 : tail;
  }
  RC_ASSERT(steps >= length);
}

RC_GTEST_PROP(CircleCheck, a_walk_that_is_nowhere_twice_is_none, ()) {
  const auto places =
      *rc::gen::unique<std::vector<std::uint64_t>>(rc::gen::arbitrary<std::uint64_t>());
  CircleCheck circle;
  for (const std::uint64_t place : places) RC_ASSERT(!circle.closes_at(place));
}

}  // namespace
}  // namespace xfilter
