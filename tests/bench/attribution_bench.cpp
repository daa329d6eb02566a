// SPDX-License-Identifier: Apache-2.0
// Packet to owner, of random sockets in images of real guests: mapped, and through /proc/PID/mem.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <random>

#include "attribution/attributor.h"
#include "engine/guest.h"
#include "engine/inventory.h"
#include "guest/memory/image_ram.h"
#include "guest/memory/process_ram.h"
#include "guest/memory/shared_ram.h"
#include "measure.h"

namespace xfilter::bench {
namespace {

using guest::memory::ProcessRam;
using guest::memory::Ram;
using guest::memory::SharedRam;

constexpr int kLookups = 20'000;

std::uint64_t size_of(const Fd& file) {
  struct stat status {};
  ::fstat(file.number(), &status);
  return static_cast<std::uint64_t>(status.st_size);
}

std::unique_ptr<Ram> mapped(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const std::uint64_t size = size_of(file);
  return SharedRam::map(std::move(file), 0, size).value();
}

// The image as private memory of this process, read as a VMM's would be. It stays until we end.
std::unique_ptr<Ram> through_proc(const std::string& path, const Fd& mem, const Fd& pagemap) {
  const auto image = guest::memory::ImageRam::open(path).value();
  auto* at = static_cast<std::byte*>(::mmap(nullptr, image->size(), PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  std::uint64_t from = 0;
  while (const auto extent = image->next_data(from)) {
    (void)image->read(extent->begin, std::span(at + extent->begin, extent->end - extent->begin));
    from = extent->end;
  }
  return std::make_unique<ProcessRam>(mem, pagemap, reinterpret_cast<std::uint64_t>(at),
                                      image->size());
}

nlohmann::json measure_guest(engine::Guest& guest) {
  Times profile, check, lookups, walk;
  for (int i = 0; i < 5; ++i) profile.measure([&] { (void)guest.find(); });
  for (int i = 0; i < 1000; ++i) check.measure([&] { (void)guest.check(); });
  const auto sockets = engine::list_sockets(guest.view()).value();
  std::vector<packet::Packet> packets;
  for (const auto& socket : sockets)
    if (socket.tuple.remote_port != 0 && !socket.holders.empty())
      packets.push_back(engine::packet_from(socket));

  attribution::Attributor attributor(guest.view(), [&guest] { guest.begin_lookup(); });
  for (const auto& packet : packets) (void)attributor.attribute(packet);
  std::mt19937 random(1);
  std::uint64_t exact = 0;
  const std::uint64_t reads = guest.reads(), steps = attributor.chain_steps();
  for (int i = 0; i < kLookups; ++i) {
    const auto& packet = packets[random() % packets.size()];
    lookups.measure([&] {
      exact += attributor.attribute(packet).confidence == model::Confidence::exact ? 1U : 0U;
    });
  }
  const auto per_lookup = [](std::uint64_t count) { return static_cast<double>(count) / kLookups; };
  const double reads_per_lookup = per_lookup(guest.reads() - reads),
               steps_per_lookup = per_lookup(attributor.chain_steps() - steps);
  for (int i = 0; i < 5; ++i)
    walk.measure([&] {
      guest.begin_lookup();
      (void)engine::list_sockets(guest.view());
    });
  return {{"sockets", sockets.size()},
          {"p50_us", lookups.percentile_us(0.5)},
          {"p99_us", lookups.percentile_us(0.99)},
          {"exact", per_lookup(exact)},
          {"reads_per_lookup", reads_per_lookup},
          {"chain_steps_per_lookup", steps_per_lookup},
          {"walk_us", walk.percentile_us(0.5)},
          {"profile_ms", profile.percentile_us(0.5) / 1000.0},
          {"check_us", check.percentile_us(0.5)}};
}

}  // namespace

nlohmann::json measure_attribution(const std::vector<std::string>& images) {
  const Fd mem(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  const Fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& image : images) {
    for (const bool is_mapped : {true, false}) {
      auto guest =
          engine::Guest::of_ram(is_mapped ? mapped(image) : through_proc(image, mem, pagemap));
      auto figures = measure_guest(*guest);
      figures["memory"] = is_mapped ? "mapped" : "/proc/PID/mem";
      all.push_back(std::move(figures));
    }
  }
  return all;
}

}  // namespace xfilter::bench
