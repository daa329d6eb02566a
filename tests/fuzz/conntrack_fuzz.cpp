// SPDX-License-Identifier: Apache-2.0
// Connection tracking: the module, its symbols, its table.
#include "guest/linux/conntrack.h"

#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

namespace {

constexpr std::uint64_t kBudget = 5'000;

class ConntrackReader final : public Reader {
 public:
  explicit ConntrackReader(const guest::linux::View& view)
      : view_(view), sockets_(sockets_of(view)) {}

  std::size_t choices() const override { return sockets_.size(); }
  // Twice: the module is remembered, and looked at again.
  void read(std::size_t choice) override {
    guest::linux::Conntrack conntrack(view_);
    for (int i = 0; i < 2; ++i) {
      Budget budget(kBudget);
      (void)conntrack.before_nat(packet_from(sockets_[choice]).flow, budget);
    }
  }

 private:
  const guest::linux::View& view_;
  std::vector<guest::linux::SocketTuple> sockets_;
};

}  // namespace

// Twice a chain, whose steps are ten reads, and the names of a module's symbols.
const std::uint64_t kMostSteps = 2 * (10 * kBudget + 20'000);

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<ConntrackReader>(view);
}

}  // namespace xfilter::fuzz
