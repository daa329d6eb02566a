// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/siphash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace xfilter::guest::linux {
namespace {

struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

}  // namespace

std::uint64_t siphash(std::span<const std::byte> bytes, const SiphashKey& key) {
  State state{key.first ^ 0x736f'6d65'7073'6575, key.second ^ 0x646f'7261'6e64'6f6d,
              key.first ^ 0x6c79'6765'6e65'7261, key.second ^ 0x7465'6462'7974'6573};
  const std::uint64_t length = bytes.size();
  // The last word is what is left, with the length in its highest byte.
  for (bool is_last = false; !is_last;) {
    std::uint64_t word = 0;
    const std::size_t part = std::min(bytes.size(), sizeof word);
    is_last = part < sizeof word;
    if (part > 0) std::memcpy(&word, bytes.data(), part);  // an empty span may have no address
    bytes = bytes.subspan(part);
    state.absorb(is_last ? word | length << 56 : word);
  }
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace xfilter::guest::linux
