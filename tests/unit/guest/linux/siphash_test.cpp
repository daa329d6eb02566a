// SPDX-License-Identifier: Apache-2.0
#include "guest/linux/siphash.h"

#include <gtest/gtest.h>

#include <vector>

namespace xfilter::guest::linux {
namespace {

// The vectors of the paper's reference code: key 00 01 .. 0f, input 00 01 .. of each length.
TEST(SipHash, gives_the_published_vectors) {
  const SiphashKey key{0x0706'0504'0302'0100, 0x0f0e'0d0c'0b0a'0908};
  std::vector<std::byte> input;
  const auto hash_of_length = [&](std::size_t length) {
    input.clear();
    for (std::size_t i = 0; i < length; ++i) input.push_back(static_cast<std::byte>(i));
    return siphash(input, key);
  };
  EXPECT_EQ(hash_of_length(0), 0x726f'db47'dd0e'0e31u);
  EXPECT_EQ(hash_of_length(1), 0x74f8'39c5'93dc'67fdu);
  EXPECT_EQ(hash_of_length(8), 0x93f5'f579'9a93'2462u);
  EXPECT_EQ(hash_of_length(15), 0xa129'ca61'49be'45e5u);
}

}  // namespace
}  // namespace xfilter::guest::linux
