// SPDX-License-Identifier: Apache-2.0
// Frames, as a guest may send them. The input is the frame.
#include "packet/parse.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xfilter;
  const auto packet = packet::parse_frame(std::as_bytes(std::span(data, size)));
  fuzz::expect(packet.flow.vlan < 4096, "a VLAN id of more than 12 bits");
  fuzz::expect(packet.kind != packet::Kind::ip || size >= 14 + 20, "IP without a header");
  fuzz::expect(!packet::to_string(packet.flow).empty(), "a flow without a text");
  return 0;
}
