// SPDX-License-Identifier: Apache-2.0
// guest/linux/inet_hash.h: the hash functions of the guest's TCP table. Pure arithmetic.
//
// The formula changed over time, and distributions backport, so all that are known are here as data
// and the caller tries them: every hashed socket stores its hash (skc_hash), so a wrong formula
// finds nothing and never the wrong socket.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "packet/flow.h"

namespace xfilter::guest::linux {

// include/linux/jhash.h
std::uint32_t jhash_3words(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                           std::uint32_t initval);
std::uint32_t jhash2(std::span<const std::uint32_t> words, std::uint32_t initval);

struct InetSecrets {
  std::uint32_t tcp4 = 0;       // inet_ehash_secret
  std::uint32_t tcp6 = 0;       // inet6_ehash_secret
  std::uint32_t tcp6_addr = 0;  // ipv6_hash_secret (tcp_ipv6_hash_secret from 6.5)
  std::uint32_t hash_mix = 0;   // net->hash_mix
};

// IPv4: the port inside the hash, or added to it (commit d4438ce68bf1 "inet: call inet6_ehashfn()
// once from inet6_hash_connect()" and the series around it, v6.15).
inline constexpr int kInet4Formulas = 2;
// IPv6: the two of 5.10 - 6.14 in one, the intermediate form of 6.15, and the one of 7.x.
inline constexpr int kInet6Formulas = 3;

std::uint32_t inet4_hash(int formula, const InetSecrets& secrets, const packet::IpAddress& local,
                         std::uint16_t local_port, const packet::IpAddress& remote,
                         std::uint16_t remote_port);
std::uint32_t inet6_hash(int formula, const InetSecrets& secrets, const packet::IpAddress& local,
                         std::uint16_t local_port, const packet::IpAddress& remote,
                         std::uint16_t remote_port);

}  // namespace xfilter::guest::linux
