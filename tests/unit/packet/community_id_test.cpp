// SPDX-License-Identifier: Apache-2.0
#include "packet/community_id.h"

#include <gtest/gtest.h>

namespace xfilter::packet {
namespace {

Packet packet_of(std::uint8_t protocol, const char* src, std::uint16_t src_port, const char* dst,
                 std::uint16_t dst_port) {
  Packet packet;
  packet.kind = Kind::ip;
  packet.flow = {*IpAddress::parse(src), *IpAddress::parse(dst), protocol, src_port, dst_port, 0};
  return packet;
}

Packet icmp_of(std::uint8_t protocol, const char* src, const char* dst, std::uint8_t type,
               std::uint8_t code) {
  Packet packet = packet_of(protocol, src, 7, dst, 0);
  packet.icmp_type = type;
  packet.icmp_code = code;
  return packet;
}

// The specification's own examples ("baseline").
TEST(CommunityId, is_what_the_specification_says) {
  EXPECT_EQ(community_id(packet_of(protocol::tcp, "128.232.110.120", 34855, "66.35.250.204", 80)),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(community_id(packet_of(protocol::udp, "192.168.1.52", 54585, "8.8.8.8", 53)),
            "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
  EXPECT_EQ(community_id(icmp_of(protocol::icmp, "192.168.0.89", "192.168.0.1", 8, 0)),
            "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
  EXPECT_EQ(community_id(icmp_of(protocol::icmpv6, "fe80::200:86ff:fe05:80da",
                                 "fe80::260:97ff:fe07:69ea", 135, 0)),
            "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");
}

TEST(CommunityId, is_the_same_for_both_directions) {
  EXPECT_EQ(community_id(packet_of(protocol::tcp, "10.0.0.2", 4711, "10.0.0.1", 25)),
            community_id(packet_of(protocol::tcp, "10.0.0.1", 25, "10.0.0.2", 4711)));
  EXPECT_EQ(community_id(packet_of(protocol::udp, "10.0.0.1", 9, "10.0.0.1", 7)),
            community_id(packet_of(protocol::udp, "10.0.0.1", 7, "10.0.0.1", 9)));
  EXPECT_EQ(community_id(icmp_of(protocol::icmp, "10.0.0.2", "10.0.0.1", 8, 0)),
            community_id(icmp_of(protocol::icmp, "10.0.0.1", "10.0.0.2", 0, 0)));
}

TEST(CommunityId, of_a_fragment_or_no_ip_packet_there_is_none) {
  Packet packet = packet_of(protocol::udp, "10.0.0.2", 0, "10.0.0.1", 0);
  for (const Kind kind : {Kind::fragment, Kind::other, Kind::malformed}) {
    packet.kind = kind;
    EXPECT_EQ(community_id(packet), std::nullopt);
  }
}

}  // namespace
}  // namespace xfilter::packet
