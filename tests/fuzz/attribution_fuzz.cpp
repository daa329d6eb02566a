// SPDX-License-Identifier: Apache-2.0
// From packets to their owners: the whole of it, with what the attributor remembers in between.
#include "attribution/attributor.h"
#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

namespace {

constexpr std::size_t kPackets = 3;

class AttributionReader final : public Reader {
 public:
  explicit AttributionReader(const guest::linux::View& view)
      : view_(view), sockets_(sockets_of(view)) {}

  std::size_t choices() const override { return sockets_.size(); }
  // The same flow twice, then another: remembered owners are looked at again.
  void read(std::size_t choice) override {
    attribution::Attributor attributor(view_, [] {});
    for (std::size_t i = 0; i < kPackets; ++i) {
      attributor.observe_processes();
      const auto owner =
          attributor.attribute(packet_from(sockets_[(choice + i / 2) % sockets_.size()]));
      expect(owner.confidence != model::Confidence::exact || owner.is_attributed(),
             "exact, and nobody");
      for (const auto& process : owner.processes) {
        expect(process->comm.size() <= 16, "a name longer than TASK_COMM_LEN");
        expect(process->exe.size() <= 4096, "a path longer than PATH_MAX");
        expect(process->parents.size() <= 64, "more ancestors than are followed");
      }
    }
  }

 private:
  const guest::linux::View& view_;
  std::vector<guest::linux::SocketTuple> sockets_;
};

}  // namespace

// 250,000 steps of budget a packet; the dearest is a task of the walk, with thirteen reads.
const std::uint64_t kMostSteps = kPackets * 250'000 * 14;

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<AttributionReader>(view);
}

}  // namespace xfilter::fuzz
