// SPDX-License-Identifier: Apache-2.0
#include "packet/flow.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace xfilter::packet {

IpAddress IpAddress::v4(std::uint32_t host_order) {
  IpAddress address;
  for (int i = 0; i < 4; ++i)
    address.bytes[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
  return {Family::v6, bytes};
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  IpAddress address;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
  address.family = Family::v6;
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

bool IpAddress::is_v4_mapped() const {
  constexpr std::array<std::uint8_t, 12> kPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return family == Family::v6 && std::equal(kPrefix.begin(), kPrefix.end(), bytes.begin());
}

bool IpAddress::is_unspecified() const {
  return bytes == decltype(bytes){};
}

IpAddress IpAddress::unmapped() const {
  if (!is_v4_mapped()) return *this;
  IpAddress address;
  std::copy(bytes.begin() + 12, bytes.end(), address.bytes.begin());
  return address;
}

std::uint32_t IpAddress::v4_host_order() const {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | bytes[3];
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.family == IpAddress::Family::v4 ? AF_INET : AF_INET6, address.bytes.data(),
            text, sizeof text);
  return text;
}

std::string protocol_name(std::uint8_t number) {
  switch (number) {
    case protocol::tcp:
      return "tcp";
    case protocol::udp:
      return "udp";
    case protocol::icmp:
      return "icmp";
    case protocol::icmpv6:
      return "icmpv6";
    default:
      return std::to_string(number);
  }
}

std::string to_string(const Flow& flow) {
  const bool has_ports = flow.protocol == protocol::tcp || flow.protocol == protocol::udp;
  const bool is_v6 = flow.src.family == IpAddress::Family::v6;
  const auto endpoint = [&](const IpAddress& address, std::uint16_t port) {
    if (!has_ports) return to_string(address);
    return is_v6 ? fmt::format("[{}]:{}", to_string(address), port)
                 : fmt::format("{}:{}", to_string(address), port);
  };
  std::string text =
      fmt::format("{} {} > {}", protocol_name(flow.protocol), endpoint(flow.src, flow.src_port),
                  endpoint(flow.dst, flow.dst_port));
  if (!has_ports && flow.src_port != 0) text += fmt::format(" id {}", flow.src_port);
  if (flow.vlan != 0) text += fmt::format(" vlan {}", flow.vlan);
  return text;
}

std::size_t FlowHash::operator()(const Flow& flow) const noexcept {
  // Keyed by chance at start: which flows collide must not be the guest's choice.
  static const std::uint64_t seed = std::random_device{}() | std::uint64_t{std::random_device{}()}
                                                                 << 32;
  std::uint64_t hash = seed;
  const auto add = [&](std::uint64_t word) {
    hash ^= word;
    hash *= 0x9e37'79b9'7f4a'7c15;
    hash ^= hash >> 32;
  };
  for (const IpAddress* address : {&flow.src, &flow.dst}) {
    std::uint64_t words[2];
    std::memcpy(words, address->bytes.data(), sizeof words);
    add(words[0]);
    add(words[1]);
  }
  add(std::uint64_t{flow.src_port} << 48 | std::uint64_t{flow.dst_port} << 32 |
      std::uint64_t{flow.vlan} << 8 | flow.protocol);
  return static_cast<std::size_t>(hash);
}

}  // namespace xfilter::packet
