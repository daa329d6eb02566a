// SPDX-License-Identifier: Apache-2.0
#include "attribution/last_owners.h"

#include <gtest/gtest.h>

namespace xfilter::attribution {
namespace {

packet::Flow flow(std::uint16_t port) {
  packet::Flow flow;
  flow.src_port = port;
  return flow;
}

model::Owner owner(std::int32_t pid) {
  model::Process process;
  process.id.pid = pid;
  model::Owner owner;
  owner.processes = {std::make_shared<model::Process>(process)};
  return owner;
}

TEST(LastOwners, the_flow_that_was_known_longest_ago_goes_first) {
  LastOwners owners(2);
  owners.put(flow(1), owner(1));
  owners.put(flow(2), owner(2));
  owners.put(flow(1), owner(11));  // known again
  owners.put(flow(3), owner(3));
  EXPECT_EQ(owners.find(flow(2)), nullptr);
  ASSERT_NE(owners.find(flow(1)), nullptr);
  EXPECT_EQ(owners.find(flow(1))->processes.front()->id.pid, 11);
  ASSERT_NE(owners.find(flow(3)), nullptr);
}

TEST(LastOwners, what_is_forgotten_is_gone) {
  LastOwners owners(2);
  owners.put(flow(1), owner(1));
  owners.forget(flow(1));
  owners.forget(flow(9));
  EXPECT_EQ(owners.find(flow(1)), nullptr);
}

}  // namespace
}  // namespace xfilter::attribution
