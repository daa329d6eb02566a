// SPDX-License-Identifier: Apache-2.0
#include "packet/parse.h"

#include <algorithm>

#include "base/bytes.h"

namespace xfilter::packet {
namespace {

constexpr std::uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd, kVlan = 0x8100, kServiceVlan = 0x88a8;
constexpr int kMostTags = 2;  // 802.1ad: a service tag and a customer tag
constexpr int kMostExtensions =
    8;  // RFC 8200 names six, each once; as many as the eBPF program looks at

enum Extension : std::uint8_t { kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60 };

class Parser {
 public:
  explicit Parser(std::span<const std::byte> frame) : frame_(frame) {}

  Packet parse() {
    auto type = load_big_endian<std::uint16_t>(frame_, 12);
    std::size_t at = 14;
    for (int i = 0; type && i < kMostTags && (*type == kVlan || *type == kServiceVlan); ++i) {
      const auto tag = load_big_endian<std::uint16_t>(frame_, at);
      if (tag && i == 0) packet_.flow.vlan = *tag & 0xfff;
      type = load_big_endian<std::uint16_t>(frame_, at + 2);
      at += 4;
    }
    if (!type) return packet_;  // cut short: malformed
    if (*type == kIpv4)
      packet_.kind = parse_ipv4(at);
    else if (*type == kIpv6)
      packet_.kind = parse_ipv6(at);
    else
      packet_.kind = Kind::other;
    return packet_;
  }

 private:
  Kind parse_ipv4(std::size_t at) {
    Flow& flow = packet_.flow;
    const auto first = load<std::uint8_t>(frame_, at);
    const auto fragment = load_big_endian<std::uint16_t>(frame_, at + 6);
    const auto src = load_big_endian<std::uint32_t>(frame_, at + 12);
    const auto dst = load_big_endian<std::uint32_t>(frame_, at + 16);
    if (!dst || *first >> 4 != 4 || (*first & 0xf) < 5) return Kind::malformed;
    flow.src = IpAddress::v4(*src);
    flow.dst = IpAddress::v4(*dst);
    flow.protocol = *load<std::uint8_t>(frame_, at + 9);
    const auto length = load_big_endian<std::uint16_t>(frame_, at + 2);
    if (*length != 0) end_at(at + *length);  // 0: a GSO packet of more than 64 KiB
    packet_.ip_id = *load_big_endian<std::uint16_t>(frame_, at + 4);
    const std::size_t transport = at + std::size_t{*first & 0xfu} * 4;
    constexpr std::uint16_t kOffset = 0x1fff, kMore = 0x2000;
    if ((*fragment & (kOffset | kMore)) == 0) return parse_transport(transport);
    return parse_fragment(transport, (*fragment & kOffset) == 0);
  }

  Kind parse_ipv6(std::size_t at) {
    Flow& flow = packet_.flow;
    const auto first = load<std::uint8_t>(frame_, at);
    const auto src = load<std::array<std::uint8_t, 16>>(frame_, at + 8);
    const auto dst = load<std::array<std::uint8_t, 16>>(frame_, at + 24);
    if (!dst || *first >> 4 != 6) return Kind::malformed;
    flow.src = IpAddress::v6(*src);
    flow.dst = IpAddress::v6(*dst);
    flow.protocol = *load<std::uint8_t>(frame_, at + 6);
    const auto payload = load_big_endian<std::uint16_t>(frame_, at + 4);
    at += 40;
    if (*payload != 0) end_at(at + *payload);
    for (int i = 0; i < kMostExtensions; ++i) {
      if (flow.protocol != kHopByHop && flow.protocol != kRouting && flow.protocol != kFragment &&
          flow.protocol != kDestination)
        return parse_transport(at);
      const auto next = load<std::uint8_t>(frame_, at);
      const auto length = load<std::uint8_t>(frame_, at + 1);
      const auto offset = load_big_endian<std::uint16_t>(frame_, at + 2);
      if (!offset) return Kind::malformed;
      const bool is_fragment_header = flow.protocol == kFragment;
      flow.protocol = *next;
      constexpr std::uint16_t kOffset = 0xfff8, kMore = 0x0001;
      if (is_fragment_header && (*offset & (kOffset | kMore)) != 0) {
        packet_.ip_id = load_big_endian<std::uint32_t>(frame_, at + 4).value_or(0);
        return parse_fragment(at + 8, (*offset & kOffset) == 0);
      }
      at += is_fragment_header ? 8 : 8 + std::size_t{*length} * 8;
    }
    return Kind::malformed;
  }

  // What lies behind the IP datagram is padding.
  void end_at(std::size_t end) { frame_ = frame_.first(std::min(end, frame_.size())); }

  // The ports are in the first fragment alone; the flow of all of them has none.
  Kind parse_fragment(std::size_t transport, bool is_first) {
    const Flow without_ports = packet_.flow;
    if (is_first && parse_transport(transport) == Kind::ip)
      packet_.first_fragment_of = packet_.flow;
    packet_.flow = without_ports;
    return Kind::fragment;
  }

  Kind parse_transport(std::size_t at) {
    Flow& flow = packet_.flow;
    const bool is_tcp = flow.protocol == protocol::tcp;
    if (is_tcp || flow.protocol == protocol::udp) {
      const auto src_port = load_big_endian<std::uint16_t>(frame_, at);
      const auto dst_port = load_big_endian<std::uint16_t>(frame_, at + 2);
      const auto flags = load<std::uint8_t>(frame_, at + 13);
      if (!dst_port || (is_tcp && !flags)) return Kind::malformed;
      flow.src_port = *src_port;
      flow.dst_port = *dst_port;
      if (!is_tcp) return Kind::ip;
      packet_.tcp_flags = *flags;
      packet_.tcp_sequence = *load_big_endian<std::uint32_t>(frame_, at + 4);
      packet_.tcp_acknowledgement = *load_big_endian<std::uint32_t>(frame_, at + 8);
      const std::size_t data = at + std::size_t{*load<std::uint8_t>(frame_, at + 12)} / 16 * 4;
      if (data < frame_.size())
        packet_.tcp_length = static_cast<std::uint32_t>(frame_.size() - data);
      return Kind::ip;
    }
    const bool is_icmp = flow.protocol == protocol::icmp;
    if (is_icmp || flow.protocol == protocol::icmpv6) {
      const auto type = load<std::uint8_t>(frame_, at);
      const auto identifier = load_big_endian<std::uint16_t>(frame_, at + 4);
      if (!load<std::uint64_t>(frame_, at)) return Kind::malformed;  // an ICMP header has 8 bytes
      packet_.icmp_type = *type;
      packet_.icmp_code = *load<std::uint8_t>(frame_, at + 1);
      const bool is_echo = is_icmp ? (*type == 8 || *type == 0) : (*type == 128 || *type == 129);
      if (is_echo) flow.src_port = *identifier;
    }
    return Kind::ip;
  }

  std::span<const std::byte> frame_;
  Packet packet_;
};

}  // namespace

Packet parse_frame(std::span<const std::byte> frame) {
  return Parser(frame).parse();
}

}  // namespace xfilter::packet
