// SPDX-License-Identifier: Apache-2.0
// What holds for any packet.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "packet/parse.h"
#include "tests/support/packet_builder.h"

namespace xfilter::packet {
namespace {

IpAddress any_address(bool is_v6) {
  if (!is_v6) return IpAddress::v4(*rc::gen::arbitrary<std::uint32_t>());
  const auto bytes =
      *rc::gen::container<std::array<std::uint8_t, 16>>(rc::gen::arbitrary<std::uint8_t>());
  return IpAddress::v6(bytes);
}

RC_GTEST_PROP(ParseFrame, gives_back_what_a_packet_was_built_of, ()) {
  const bool is_v6 = *rc::gen::arbitrary<bool>();
  const bool is_tcp = *rc::gen::arbitrary<bool>();
  const auto tags = *rc::gen::container<std::vector<unsigned>>(*rc::gen::inRange<std::size_t>(0, 3),
                                                               rc::gen::inRange(1u, 4096u));
  Packet expected;
  expected.kind = Kind::ip;
  expected.flow = {any_address(is_v6),
                   any_address(is_v6),
                   is_tcp ? protocol::tcp : protocol::udp,
                   *rc::gen::arbitrary<std::uint16_t>(),
                   *rc::gen::arbitrary<std::uint16_t>(),
                   static_cast<std::uint16_t>(tags.empty() ? 0 : tags.front())};

  support::Frame frame = support::Ethernet{};
  for (const unsigned tag : tags) frame = frame / support::Vlan{.id = tag};
  const std::string src = to_string(expected.flow.src), dst = to_string(expected.flow.dst);
  if (is_v6) {
    frame = frame / support::Ipv6{.src = src.c_str(), .dst = dst.c_str()};
    for (int i = *rc::gen::inRange(0, 8); i > 0; --i)
      frame = frame / support::Ipv6Extension{.type = *rc::gen::element(0u, 43u, 44u, 60u)};
  } else {
    frame = frame / support::Ipv4{.src = src.c_str(),
                                  .dst = dst.c_str(),
                                  .option_words = *rc::gen::inRange(0u, 11u)};
  }
  if (is_tcp) {
    expected.tcp_flags = *rc::gen::arbitrary<std::uint8_t>();
    expected.tcp_sequence = *rc::gen::arbitrary<std::uint32_t>();
    expected.tcp_acknowledgement = *rc::gen::arbitrary<std::uint32_t>();
    frame = frame / support::Tcp{.src_port = expected.flow.src_port,
                                 .dst_port = expected.flow.dst_port,
                                 .flags = expected.tcp_flags,
                                 .sequence = expected.tcp_sequence,
                                 .acknowledgement = expected.tcp_acknowledgement};
  } else {
    frame = frame /
            support::Udp{.src_port = expected.flow.src_port, .dst_port = expected.flow.dst_port};
  }

  const auto parsed = parse_frame(frame);
  RC_ASSERT(parsed.kind == expected.kind);
  RC_ASSERT(parsed.flow == expected.flow);
  RC_ASSERT(parsed.tcp_flags == expected.tcp_flags);
  RC_ASSERT(parsed.tcp_sequence == expected.tcp_sequence);
  RC_ASSERT(parsed.tcp_acknowledgement == expected.tcp_acknowledgement);
}

RC_GTEST_PROP(IpAddress, any_address_is_what_its_text_says, (bool is_v6)) {
  const auto address = any_address(is_v6);
  RC_ASSERT(IpAddress::parse(to_string(address)) == address);
}

}  // namespace
}  // namespace xfilter::packet
