// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/cgroup.h"

#include <gtest/gtest.h>

namespace xfilter::guest::linux {
namespace {

const std::string kId(64, 'a'), kOther(64, 'b');

TEST(ContainerOf, the_names_that_runtimes_give_lead_to_the_id) {
  EXPECT_EQ(container_of("/docker/" + kId, true), kId);
  EXPECT_EQ(container_of("/system.slice/docker-" + kId + ".scope", true), kId);
  EXPECT_EQ(container_of("/kubepods/besteffort/pod1234/" + kId, true), kId);
  EXPECT_EQ(
      container_of("/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + kId + ".scope", true),
      kId);
  EXPECT_EQ(container_of("/machine.slice/libpod-" + kId + ".scope/container", true), kId);
}

TEST(ContainerOf, what_a_container_makes_below_its_own_group_does_not_count) {
  EXPECT_EQ(container_of("/docker/" + kId + "/docker/" + kOther, true), kId);
}

TEST(ContainerOf, without_such_a_name_a_pid_namespace_of_its_own_tells) {
  EXPECT_EQ(container_of("/web", true), "web");
  EXPECT_EQ(container_of("/user.slice/session-1.scope", false), "");
  EXPECT_EQ(container_of("/", true), "");
}

}  // namespace
}  // namespace xfilter::guest::linux
