// SPDX-License-Identifier: Apache-2.0
// packet/flow.h: addresses and the flow that a packet belongs to. Values only; nothing here can
// fail.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace xfilter::packet {

// An IPv4 or IPv6 address. IPv4 uses the first four bytes and leaves the others zero.
struct IpAddress {
  enum class Family : std::uint8_t { v4 = 4, v6 = 6 };

  Family family = Family::v4;
  std::array<std::uint8_t, 16> bytes{};  // network byte order

  static IpAddress v4(std::uint32_t host_order);
  static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_unspecified() const;  // 0.0.0.0 or ::, not ::ffff:0.0.0.0
  bool is_v4_mapped() const;    // ::ffff:a.b.c.d
  IpAddress unmapped() const;   // the IPv4 address behind a v4-mapped one; otherwise itself
  std::uint32_t v4_host_order() const;

  auto operator<=>(const IpAddress&) const = default;
};
std::string to_string(const IpAddress& address);

namespace protocol {
inline constexpr std::uint8_t icmp = 1, tcp = 6, udp = 17, icmpv6 = 58;
}
// "tcp", "udp", "icmp", "icmpv6", otherwise the number.
std::string protocol_name(std::uint8_t protocol);

// What a verdict is cached for. As the guest sent it: src is the guest's side.
struct Flow {
  IpAddress src;
  IpAddress dst;
  std::uint8_t protocol = 0;   // IP protocol number (of the last header that is not an extension)
  std::uint16_t src_port = 0;  // host byte order; ICMP echo: the identifier; others: 0
  std::uint16_t dst_port = 0;  // host byte order; others than TCP and UDP: 0
  std::uint16_t vlan = 0;      // VLAN id, 0 when untagged

  auto operator<=>(const Flow&) const = default;
};
// "tcp 10.0.0.2:4711 > 10.0.0.1:25", "icmp 10.0.0.2 > 10.0.0.1 id 7"
std::string to_string(const Flow& flow);

struct FlowHash {
  std::size_t operator()(const Flow& flow) const noexcept;
};

}  // namespace xfilter::packet
