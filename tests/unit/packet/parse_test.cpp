// SPDX-License-Identifier: Apache-2.0
#include "packet/parse.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/packet_builder.h"

namespace xfilter::packet {
namespace {

using support::Ethernet;
using support::Icmp;
using support::Ipv4;
using support::Ipv6;
using support::Ipv6Extension;
using support::Tcp;
using support::Udp;
using support::Vlan;

TEST(ParseFrame, a_tcp_packet_gives_its_flow_flags_and_numbers) {
  const auto packet = parse_frame(Ethernet{} / Ipv4{.src = "10.0.0.2", .dst = "10.0.0.1"} /
                                  Tcp{.src_port = 4711,
                                      .dst_port = 25,
                                      .flags = TcpFlags::syn,
                                      .sequence = 7,
                                      .acknowledgement = 9});
  EXPECT_EQ(packet.kind, Kind::ip);
  EXPECT_EQ(to_string(packet.flow), "tcp 10.0.0.2:4711 > 10.0.0.1:25");
  EXPECT_EQ(packet.tcp_flags, TcpFlags::syn);
  EXPECT_EQ(packet.tcp_sequence, 7u);
  EXPECT_EQ(packet.tcp_acknowledgement, 9u);
}

TEST(ParseFrame, ipv4_options_are_skipped) {
  const auto packet =
      parse_frame(Ethernet{} / Ipv4{.option_words = 3} / Udp{.src_port = 1, .dst_port = 53});
  EXPECT_EQ(packet.flow.dst_port, 53);
}

TEST(ParseFrame, the_outermost_vlan_tag_is_the_flows) {
  const auto packet = parse_frame(Ethernet{} / Vlan{.id = 12} / Vlan{.id = 99} / Ipv4{} /
                                  Udp{.src_port = 1, .dst_port = 2});
  EXPECT_EQ(packet.kind, Kind::ip);
  EXPECT_EQ(packet.flow.vlan, 12);
}

TEST(ParseFrame, ipv6_extension_headers_are_skipped) {
  const auto packet =
      parse_frame(Ethernet{} / Ipv6{.src = "fd00::2", .dst = "fd00::1"} / Ipv6Extension{.type = 0} /
                  Ipv6Extension{.type = 60, .length = 2} / Udp{.src_port = 7, .dst_port = 53});
  EXPECT_EQ(packet.kind, Kind::ip);
  EXPECT_EQ(to_string(packet.flow), "udp [fd00::2]:7 > [fd00::1]:53");
}

TEST(ParseFrame, more_extension_headers_than_anybody_sends_are_malformed) {
  auto frame = Ethernet{} / Ipv6{} / Ipv6Extension{.type = 60};
  for (int i = 0; i < 8; ++i) frame = frame / Ipv6Extension{.type = 60};
  EXPECT_EQ(parse_frame(frame / Udp{}).kind, Kind::malformed);
}

TEST(ParseFrame, all_fragments_of_a_datagram_are_one_flow_without_ports) {
  const auto first =
      parse_frame(Ethernet{} / Ipv4{.fragment = 0x2000} / Udp{.src_port = 7, .dst_port = 53});
  const auto later =
      parse_frame(Ethernet{} / Ipv4{.fragment = 185} / Udp{.src_port = 0xdead, .dst_port = 0xbeef});
  EXPECT_EQ(first.kind, Kind::fragment);
  EXPECT_EQ(later.kind, Kind::fragment);
  EXPECT_EQ(first.flow, later.flow);
  EXPECT_EQ(first.flow.src_port, 0);
  ASSERT_TRUE(first.first_fragment_of);
  EXPECT_EQ(first.first_fragment_of->src_port, 7);
  EXPECT_FALSE(later.first_fragment_of);
}

TEST(ParseFrame, an_ipv6_fragment_is_one_and_an_atomic_fragment_is_none) {
  EXPECT_EQ(
      parse_frame(Ethernet{} / Ipv6{} / Ipv6Extension{.type = 44, .fragment = 1} / Udp{}).kind,
      Kind::fragment);
  EXPECT_EQ(parse_frame(Ethernet{} / Ipv6{} / Ipv6Extension{.type = 44} / Udp{}).kind, Kind::ip);
}

TEST(ParseFrame, an_icmp_echo_has_its_identifier_in_the_flow_and_an_icmp_error_has_none) {
  EXPECT_EQ(parse_frame(Ethernet{} / Ipv4{} / Icmp{.type = 8, .identifier = 77}).flow.src_port, 77);
  EXPECT_EQ(parse_frame(Ethernet{} / Ipv4{} / Icmp{.type = 3, .identifier = 77}).flow.src_port, 0);
  EXPECT_EQ(parse_frame(Ethernet{} / Ipv6{} / Icmp{.is_v6 = true, .type = 128, .identifier = 5})
                .flow.src_port,
            5);
}

TEST(ParseFrame, an_icmp_packet_has_its_type_and_code) {
  for (const bool is_v6 : {false, true}) {
    const Icmp icmp{.is_v6 = is_v6, .type = 3, .code = 13};
    const Packet packet =
        parse_frame(is_v6 ? Ethernet{} / Ipv6{} / icmp : Ethernet{} / Ipv4{} / icmp);
    EXPECT_EQ(packet.icmp_type, 3);
    EXPECT_EQ(packet.icmp_code, 13);
  }
}

TEST(ParseFrame, arp_is_not_ip) {
  EXPECT_EQ(parse_frame(Ethernet{.type = 0x0806} / Udp{}).kind, Kind::other);
}

TEST(ParseFrame, a_packet_cut_anywhere_before_its_ports_is_malformed_or_at_least_not_ip) {
  const auto whole = Ethernet{} / Vlan{.id = 3} / Ipv4{} / Tcp{.src_port = 1, .dst_port = 2};
  for (std::size_t size = 0; size < whole.bytes().size() - 6; ++size)
    EXPECT_NE(parse_frame(whole.bytes().first(size)).kind, Kind::ip) << size;
}

TEST(ParseFrame, ipv4_that_says_it_is_version_five_or_has_a_tiny_header_is_malformed) {
  EXPECT_EQ(parse_frame(Ethernet{} / Ipv4{.version = 5} / Udp{}).kind, Kind::malformed);
  EXPECT_EQ(parse_frame(Ethernet{} / Ipv4{.header_words = 4} / Udp{}).kind, Kind::malformed);
}

TEST(ParseFrame, random_bytes_are_survived) {
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) {
    std::vector<std::byte> frame(random() % 120);
    for (auto& byte : frame) byte = static_cast<std::byte>(random());
    if (frame.size() > 14 && i % 2 == 0) {
      frame[12] = std::byte{0x86};
      frame[13] = std::byte{0xdd};
    }
    (void)parse_frame(frame);
  }
}

TEST(IpAddress, parse_and_print_agree) {
  for (const char* text : {"10.0.0.1", "255.255.255.255", "::", "fd00::1", "::ffff:10.0.0.1"})
    EXPECT_EQ(to_string(IpAddress::parse(text).value()), text);
  EXPECT_FALSE(IpAddress::parse("10.0.0"));
  EXPECT_FALSE(IpAddress::parse("10.0.0.1/8"));
}

TEST(IpAddress, a_v4_mapped_address_is_the_ipv4_address_behind_it) {
  EXPECT_EQ(IpAddress::parse("::ffff:10.0.0.1")->unmapped(), IpAddress::v4(0x0a000001));
  EXPECT_EQ(IpAddress::parse("fd00::1")->unmapped(), IpAddress::parse("fd00::1"));
}

TEST(ParseFrame, padding_behind_the_datagram_is_no_data) {
  auto frame = Ethernet{} / Ipv4{} / Tcp{.src_port = 1, .dst_port = 2};
  EXPECT_EQ(parse_frame(frame).tcp_length, 0u);
  frame.pad(6);  // what a short frame is filled up with
  EXPECT_EQ(parse_frame(frame).tcp_length, 0u);
}

TEST(ParseFrame, data_behind_a_gso_packets_missing_length_counts) {
  auto frame = Ethernet{} / Ipv4{.total_length = 0} / Tcp{.src_port = 1, .dst_port = 2};
  frame.pad(70'000);
  EXPECT_EQ(parse_frame(frame).tcp_length, 70'000u);
}

}  // namespace
}  // namespace xfilter::packet
