// SPDX-License-Identifier: Apache-2.0
// Sockets: their tuples and files, look-ups in the hash tables, and the sweep of the tables.
#include "guest/linux/socket.h"

#include "guest/linux/socket_tables.h"
#include "tests/fuzz/hostile_guest.h"
#include "tests/fuzz/landmarks.h"

namespace xfilter::fuzz {

namespace {

constexpr std::uint64_t kBudget = 5'000;

class SocketReader final : public Reader {
 public:
  explicit SocketReader(const guest::linux::View& view)
      : view_(view), net_(view.init_net()), sockets_(sockets_of(view)) {}

  std::size_t choices() const override { return 2 * sockets_.size() + 1; }
  void read(std::size_t choice) override {
    Budget budget(kBudget);
    guest::linux::SocketTables tables(view_);
    if (choice == 2 * sockets_.size()) {
      std::uint64_t visits = 0;
      (void)tables.sweep(net_, budget, [&](const guest::linux::SocketTuple&) -> Result<void> {
        ++visits;
        return {};
      });
      expect(visits <= kBudget, "more sockets than steps");
      return;
    }
    const guest::linux::SocketTuple& socket = sockets_[choice / 2];
    if (choice % 2 == 0) {
      (void)guest::linux::read_tuple(view_, socket.kind, socket.at);
      (void)guest::linux::read_tcp_window(view_, socket.at);
      const auto file = guest::linux::read_socket_file(view_, socket.at);
      if (file && file->file) (void)guest::linux::read_file_references(view_, file->file);
      return;
    }
    const packet::Flow flow = packet_from(socket).flow;
    Result<std::vector<guest::linux::SocketTuple>> found;
    switch (socket.kind) {
      case guest::linux::SocketKind::tcp:
        (void)tables.find_tcp(net_, flow, budget);
        return;
      case guest::linux::SocketKind::udp:
        found = tables.find_udp(net_, flow, budget);
        break;
      case guest::linux::SocketKind::ping:
        found = tables.find_ping(net_, flow, budget);
        break;
      case guest::linux::SocketKind::raw:
      case guest::linux::SocketKind::packet:
        found = tables.find_raw(net_, budget);
        break;
    }
    expect(!found || found->size() <= kBudget, "more sockets than steps");
  }

 private:
  const guest::linux::View& view_;
  guest::VirtAddr net_;
  std::vector<guest::linux::SocketTuple> sockets_;
};

}  // namespace

// A step of a chain reads a tuple (nine reads), a step of a table a page of buckets.
const std::uint64_t kMostSteps = (10 + 512) * kBudget;

std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory&, const guest::linux::View& view) {
  return std::make_unique<SocketReader>(view);
}

}  // namespace xfilter::fuzz
