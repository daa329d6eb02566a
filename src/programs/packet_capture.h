// SPDX-License-Identifier: Apache-2.0
// programs/packet_capture.h: the frames of a capture file (pcap or pcapng), by libpcap.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

struct pcap;

namespace xfilter::programs {

class PacketCapture {
 public:
  // input_invalid when it is none, or not of Ethernet frames.
  static Result<PacketCapture> open(const std::string& path);
  // Nothing at the end. Valid until the next call.
  Result<std::optional<std::span<const std::byte>>> next();

 private:
  struct Close {
    void operator()(pcap* capture) const;
  };
  PacketCapture(pcap* capture, std::string path) : capture_(capture), path_(std::move(path)) {}

  std::unique_ptr<pcap, Close> capture_;
  std::string path_;
};

}  // namespace xfilter::programs
