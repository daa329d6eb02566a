// SPDX-License-Identifier: Apache-2.0
#include "programs/packet_capture.h"

#include <pcap/pcap.h>

#include <array>

namespace xfilter::programs {

void PacketCapture::Close::operator()(pcap* capture) const {
  pcap_close(capture);
}

Result<PacketCapture> PacketCapture::open(const std::string& path) {
  std::array<char, PCAP_ERRBUF_SIZE> why{};
  pcap_t* const opened = pcap_open_offline(path.c_str(), why.data());
  if (opened == nullptr) return fail(Errc::input_invalid, "--pcap {}: {}", path, why.data());
  PacketCapture capture(opened, path);
  if (const int type = pcap_datalink(opened); type != DLT_EN10MB)
    return fail(Errc::input_invalid,
                "--pcap {}: expected Ethernet frames, found {}: capture on the VM's netdev itself",
                path,
                pcap_datalink_val_to_name(type) == nullptr ? "an unknown link type"
                                                           : pcap_datalink_val_to_name(type));
  return capture;
}

Result<std::optional<std::span<const std::byte>>> PacketCapture::next() {
  pcap_pkthdr* header = nullptr;
  const unsigned char* bytes = nullptr;
  const int got = pcap_next_ex(capture_.get(), &header, &bytes);
  if (got == PCAP_ERROR_BREAK) return std::nullopt;
  if (got != 1)
    return fail(Errc::input_invalid, "--pcap {}: {}", path_, pcap_geterr(capture_.get()));
  return std::span(reinterpret_cast<const std::byte*>(bytes), header->caplen);
}

}  // namespace xfilter::programs
