// SPDX-License-Identifier: Apache-2.0
#include "packet/community_id.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>

#include <array>
#include <span>
#include <tuple>
#include <utility>

namespace xfilter::packet {
namespace {

struct Ends {
  IpAddress src, dst;
  std::uint16_t src_port = 0, dst_port = 0;
  bool has_ports = false;
  bool is_one_way = false;  // then the two ends are not interchangeable
};

// ICMP messages that come in pairs of question and answer.
using IcmpPair = std::pair<std::uint8_t, std::uint8_t>;
constexpr std::array<IcmpPair, 5> kIcmpPairs = {{{8, 0}, {13, 14}, {15, 16}, {17, 18}, {10, 9}}};
constexpr std::array<IcmpPair, 5> kIcmp6Pairs = {
    {{128, 129}, {133, 134}, {135, 136}, {130, 131}, {144, 145}}};

// In place of ports: the type, and that of its answer; without one, the code.
void take_icmp_types(const Packet& packet, std::span<const IcmpPair> pairs, Ends& ends) {
  ends.has_ports = true;
  ends.src_port = packet.icmp_type;
  for (const auto& [question, answer] : pairs) {
    if (packet.icmp_type == question) ends.dst_port = answer;
    if (packet.icmp_type == answer) ends.dst_port = question;
    if (packet.icmp_type == question || packet.icmp_type == answer) return;
  }
  ends.dst_port = packet.icmp_code;
  ends.is_one_way = true;
}

Ends ends_of(const Packet& packet) {
  constexpr std::uint8_t kSctp = 132;
  const Flow& flow = packet.flow;
  Ends ends{flow.src, flow.dst};
  switch (flow.protocol) {
    case protocol::tcp:
    case protocol::udp:
    case kSctp:
      ends.src_port = flow.src_port;
      ends.dst_port = flow.dst_port;
      ends.has_ports = true;
      break;
    case protocol::icmp:
      take_icmp_types(packet, kIcmpPairs, ends);
      break;
    case protocol::icmpv6:
      take_icmp_types(packet, kIcmp6Pairs, ends);
      break;
    default:
      break;
  }
  if (!ends.is_one_way &&
      std::tie(ends.dst.bytes, ends.dst_port) < std::tie(ends.src.bytes, ends.src_port)) {
    std::swap(ends.src, ends.dst);
    std::swap(ends.src_port, ends.dst_port);
  }
  return ends;
}

}  // namespace

std::optional<std::string> community_id(const Packet& packet) {
  if (packet.kind != Kind::ip) return std::nullopt;
  const Ends ends = ends_of(packet);
  sha1_ctx sha1;
  sha1_init(&sha1);
  const auto add = [&](std::span<const std::uint8_t> bytes) {
    sha1_update(&sha1, bytes.size(), bytes.data());
  };
  const auto add_port = [&](std::uint16_t port) {
    add(std::array{static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port)});
  };
  constexpr std::uint16_t kSeed = 0;
  const std::size_t address_size = ends.src.family == IpAddress::Family::v6 ? 16 : 4;
  add_port(kSeed);
  add(std::span(ends.src.bytes).first(address_size));
  add(std::span(ends.dst.bytes).first(address_size));
  add(std::array<std::uint8_t, 2>{packet.flow.protocol, 0});
  if (ends.has_ports) {
    add_port(ends.src_port);
    add_port(ends.dst_port);
  }
  std::array<std::uint8_t, SHA1_DIGEST_SIZE> digest;
  sha1_digest(&sha1, digest.size(), digest.data());
  std::string id(BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE), '\0');
  base64_encode_raw(id.data(), digest.size(), digest.data());
  return "1:" + id;
}

}  // namespace xfilter::packet
