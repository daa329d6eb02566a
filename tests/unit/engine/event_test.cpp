// SPDX-License-Identifier: Apache-2.0
#include "engine/event.h"

#include <gtest/gtest.h>

namespace xfilter::engine {
namespace {

class Event : public testing::Test {
 protected:
  Event() {
    packet_.kind = packet::Kind::ip;
    packet_.flow = {packet::IpAddress::v4(0x0a00'0002),
                    packet::IpAddress::v4(0x0a00'0001),
                    packet::protocol::tcp,
                    4711,
                    25,
                    0};
    model::Process process;
    process.id.pid = 212;
    process.cmdline = {"mysql", "--password=secret"};
    process.exe = "/usr/bin/\x1b[31mred\xff";
    owner_.processes.push_back(std::make_shared<const model::Process>(std::move(process)));
  }

  std::string line(CommandLines command_lines = CommandLines::redacted) const {
    const policy::Verdict verdict = policy_.decide({packet_, owner_, "tap0"});
    const auto moment = std::chrono::system_clock::time_point(std::chrono::microseconds(1'500'042));
    return verdict_event(
        moment, {packet_, "tap0", owner_, verdict, mode_, std::chrono::nanoseconds(61'329)},
        command_lines);
  }
  nlohmann::json event() const { return nlohmann::json::parse(line()); }

  packet::Packet packet_;
  model::Owner owner_;
  Mode mode_ = Mode::enforce;
  policy::Policy policy_;
};

TEST_F(Event, has_the_names_of_eve) {
  const auto told = event();
  EXPECT_EQ(told["timestamp"], "1970-01-01T00:00:01.500042+0000");
  EXPECT_EQ(told["event_type"], "verdict");
  EXPECT_EQ(told["in_iface"], "tap0");
  EXPECT_EQ(told["src_ip"], "10.0.0.2");
  EXPECT_EQ(told["src_port"], 4711);
  EXPECT_EQ(told["dest_ip"], "10.0.0.1");
  EXPECT_EQ(told["dest_port"], 25);
  EXPECT_EQ(told["proto"], "TCP");
  EXPECT_EQ(told["community_id"], "1:t/BWuA3xi5Tpta4ukBOoBca7nIg=");
  EXPECT_EQ(told["verdict"]["action"], "pass");
  EXPECT_EQ(told["guest"]["processes"][0]["pid"], 212);
  EXPECT_FALSE(told.contains("vlan"));
}

TEST_F(Event, has_no_field_that_the_packet_has_not) {
  packet_.flow.protocol = packet::protocol::icmp;
  packet_.flow.src_port = 7;
  packet_.flow.vlan = 12;
  packet_.icmp_type = 8;
  auto told = event();
  EXPECT_EQ(told["proto"], "ICMP");
  EXPECT_EQ(told["icmp_type"], 8);
  EXPECT_EQ(told["icmp_id"], 7);
  EXPECT_EQ(told["vlan"], nlohmann::json::array({12}));
  EXPECT_FALSE(told.contains("src_port"));
  packet_.kind = packet::Kind::other;
  told = event();
  for (const char* missing : {"src_ip", "proto", "icmp_type", "community_id"})
    EXPECT_FALSE(told.contains(missing)) << missing;
}

TEST_F(Event, tells_no_command_line_unless_asked) {
  EXPECT_EQ(line().find("secret"), std::string::npos);
  EXPECT_TRUE(event()["guest"]["processes"][0]["cmdline"].is_null());
  EXPECT_NE(line(CommandLines::shown).find("secret"), std::string::npos);
}

TEST_F(Event, is_one_line_of_ascii_whatever_the_guest_calls_its_programs) {
  for (const char c : line()) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << static_cast<int>(c);
}

}  // namespace
}  // namespace xfilter::engine
