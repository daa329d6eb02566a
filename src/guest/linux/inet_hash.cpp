// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/inet_hash.h"

#include <bit>
#include <cstring>

namespace xfilter::guest::linux {
namespace {

constexpr std::uint32_t kJhashInitval = 0xdeadbeef;

struct Jhash {
  std::uint32_t a, b, c;

  void mix() {
    a -= c;
    a ^= std::rotl(c, 4);
    c += b;
    b -= a;
    b ^= std::rotl(a, 6);
    a += c;
    c -= b;
    c ^= std::rotl(b, 8);
    b += a;
    a -= c;
    a ^= std::rotl(c, 16);
    c += b;
    b -= a;
    b ^= std::rotl(a, 19);
    a += c;
    c -= b;
    c ^= std::rotl(b, 4);
    b += a;
  }
  std::uint32_t final() {
    c ^= b;
    c -= std::rotl(b, 14);
    a ^= c;
    a -= std::rotl(c, 11);
    b ^= a;
    b -= std::rotl(a, 25);
    c ^= b;
    c -= std::rotl(b, 16);
    a ^= c;
    a -= std::rotl(c, 4);
    b ^= a;
    b -= std::rotl(a, 14);
    c ^= b;
    c -= std::rotl(b, 24);
    return c;
  }
};

// The kernel hashes addresses and ports as they lie in memory (network byte order).
std::array<std::uint32_t, 4> words_of(const packet::IpAddress& address) {
  std::array<std::uint32_t, 4> words;
  std::memcpy(words.data(), address.bytes.data(), sizeof words);
  return words;
}

}  // namespace

std::uint32_t jhash_3words(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                           std::uint32_t initval) {
  const std::uint32_t start = initval + kJhashInitval + (3u << 2);
  Jhash hash{a + start, b + start, c + start};
  return hash.final();
}

std::uint32_t jhash2(std::span<const std::uint32_t> words, std::uint32_t initval) {
  const std::uint32_t start =
      kJhashInitval + (static_cast<std::uint32_t>(words.size()) << 2) + initval;
  Jhash hash{start, start, start};
  for (; words.size() > 3; words = words.subspan(3)) {
    hash.a += words[0];
    hash.b += words[1];
    hash.c += words[2];
    hash.mix();
  }
  if (words.size() > 2) hash.c += words[2];
  if (words.size() > 1) hash.b += words[1];
  if (words.empty()) return hash.c;
  hash.a += words[0];
  return hash.final();
}

std::uint32_t inet4_hash(int formula, const InetSecrets& secrets, const packet::IpAddress& local,
                         std::uint16_t local_port, const packet::IpAddress& remote,
                         std::uint16_t remote_port) {
  const std::uint32_t laddr = words_of(local)[0], faddr = words_of(remote)[0];
  const std::uint32_t fport = __builtin_bswap16(remote_port);
  const std::uint32_t initval = secrets.tcp4 + secrets.hash_mix;
  if (formula == 0)
    return jhash_3words(laddr, faddr, std::uint32_t{local_port} << 16 | fport, initval);
  return local_port + jhash_3words(laddr, faddr, fport, initval);
}

std::uint32_t inet6_hash(int formula, const InetSecrets& secrets, const packet::IpAddress& local,
                         std::uint16_t local_port, const packet::IpAddress& remote,
                         std::uint16_t remote_port) {
  const auto l = words_of(local), f = words_of(remote);
  const std::uint32_t fport = __builtin_bswap16(remote_port);
  const std::uint32_t initval = secrets.tcp6 + secrets.hash_mix;
  const std::uint32_t fhash = jhash2(f, secrets.tcp6_addr);
  if (formula == 0)
    return jhash_3words(l[3], fhash, std::uint32_t{local_port} << 16 | fport, initval);
  if (formula == 1) return local_port + jhash_3words(l[3], fhash, fport, initval);
  const std::uint32_t start = secrets.tcp6_addr;
  Jhash hash{start + (l[0] ^ secrets.hash_mix), start + l[1], start + l[2]};
  hash.mix();
  hash.a += l[3];
  hash.b += f[0];
  hash.c += f[1];
  hash.mix();
  hash.a += f[2];
  hash.b += f[3];
  hash.c += fport;
  return local_port + hash.final();
}

}  // namespace xfilter::guest::linux
