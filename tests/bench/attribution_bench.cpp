// SPDX-License-Identifier: Apache-2.0
// Packet to owner on images of real guests.
#include "attribution/attributor.h"
#include "engine/guest.h"
#include "engine/inventory.h"
#include "measure.h"
#include "tests/support/image.h"

namespace xfilter::bench {
namespace {

constexpr int kRounds = 200;

nlohmann::json measure_image(const std::string& name) {
  auto guest =
      engine::Guest::of_ram(guest::memory::ImageRam::open(support::image_path(name)).value());
  Times profile;
  for (int i = 0; i < 5; ++i) profile.measure([&] { (void)guest->find(); });
  const auto sockets = engine::list_sockets(guest->view()).value();
  std::vector<packet::Packet> packets;
  for (const auto& socket : sockets)
    if (socket.tuple.remote_port != 0 && !socket.holders.empty())
      packets.push_back(engine::packet_from(socket));

  const auto new_attributor = [&] {
    return attribution::Attributor(guest->view(), [&guest] { guest->begin_lookup(); });
  };
  Times known, cold, walk;
  auto attributor = new_attributor();
  for (const auto& packet : packets) (void)attributor.attribute(packet);
  const std::uint64_t reads = guest->reads();
  for (int round = 0; round < kRounds; ++round)
    for (const auto& packet : packets) known.measure([&] { (void)attributor.attribute(packet); });
  const double reads_per_lookup =
      static_cast<double>(guest->reads() - reads) / static_cast<double>(known.count());
  for (int round = 0; round < kRounds / 10; ++round)
    for (const auto& packet : packets) {
      auto fresh = new_attributor();
      cold.measure([&] { (void)fresh.attribute(packet); });
    }
  for (int round = 0; round < 20; ++round)
    walk.measure([&] {
      guest->begin_lookup();
      (void)engine::list_sockets(guest->view());
    });
  return {{"image", name},
          {"sockets", sockets.size()},
          {"lookups", known.count()},
          {"p50_us", known.percentile_us(0.5)},
          {"p99_us", known.percentile_us(0.99)},
          {"cold_p50_us", cold.percentile_us(0.5)},
          {"cold_p99_us", cold.percentile_us(0.99)},
          {"walk_us", walk.percentile_us(0.5)},
          {"profile_ms", profile.percentile_us(0.5) / 1000.0},
          {"reads_per_lookup", reads_per_lookup}};
}

}  // namespace

nlohmann::json measure_attribution() {
  nlohmann::json all = nlohmann::json::array();
  for (const auto& name : support::image_names()) all.push_back(measure_image(name));
  return all;
}

}  // namespace xfilter::bench
