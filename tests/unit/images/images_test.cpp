// SPDX-License-Identifier: Apache-2.0
// Reads images of real guests: the same every time, and never worse than an error when they are
// damaged.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "attribution/attributor.h"
#include "engine/guest.h"
#include "engine/inventory.h"
#include "guest/linux/holders.h"
#include "tests/support/image.h"

namespace xfilter {
namespace {

using engine::Guest;
using support::EditableRam;

std::unique_ptr<Guest> open_image(const std::string& name) {
  auto guest = Guest::of_ram(guest::memory::ImageRam::open(support::image_path(name)).value());
  const auto found = guest->find();
  EXPECT_TRUE(found) << found.error().message;
  return guest;
}

nlohmann::json golden(const std::string& name, const std::string& view) {
  std::ifstream file(XFILTER_TESTS_DIR "/images/" + name + "." + view + ".json");
  return nlohmann::json::parse(file);
}

class Images : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, Images, testing::ValuesIn(support::image_names()),
                         [](const auto& chosen) {
                           return chosen.param == "6.1" ? "k6_1" : "k6_12";
                         });

TEST_P(Images, processes_are_those_that_the_guest_had) {
  const auto guest = open_image(GetParam());
  EXPECT_EQ(engine::to_json(engine::list_processes(guest->view()), engine::CommandLines::shown),
            golden(GetParam(), "ps"));
}

TEST_P(Images, sockets_are_those_that_the_guest_had_each_time_one_looks) {
  const auto guest = open_image(GetParam());
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(engine::to_json(engine::list_sockets(guest->view()).value()),
              golden(GetParam(), "sockets"));
}

TEST_P(Images, attribution_by_the_guests_hash_tables_agrees_with_the_walk_of_everything) {
  const auto guest = open_image(GetParam());
  attribution::Attributor attributor(guest->view(), [&] { guest->begin_lookup(); });
  int compared = 0;
  const auto sockets = engine::list_sockets(guest->view()).value();
  for (const auto& socket : sockets) {
    const bool is_connected = socket.tuple.remote_port != 0;
    if (!is_connected || socket.holders.empty()) continue;
    std::vector<std::int32_t> expected;
    for (const auto& holder : socket.holders) expected.push_back(holder.pid);
    std::sort(expected.begin(), expected.end());
    expected.erase(std::unique(expected.begin(), expected.end()), expected.end());

    const auto owner = attributor.attribute(engine::packet_from(socket));
    std::vector<std::int32_t> found;
    for (const auto& process : owner.processes) found.push_back(process->id.pid);
    EXPECT_EQ(found, expected) << packet::to_string(engine::packet_from(socket).flow) << ": "
                               << owner.reason;
    EXPECT_EQ(owner.confidence, model::Confidence::exact) << owner.reason;
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST_P(Images, a_tuple_that_no_socket_has_is_unknown_with_a_reason) {
  const auto guest = open_image(GetParam());
  attribution::Attributor attributor(guest->view(), [&] { guest->begin_lookup(); });
  packet::Packet packet;
  packet.kind = packet::Kind::ip;
  packet.flow = {packet::IpAddress::v4(0x7f000001),
                 packet::IpAddress::v4(0x7f000001),
                 packet::protocol::tcp,
                 1,
                 2,
                 0};
  const auto owner = attributor.attribute(packet);
  EXPECT_EQ(owner.confidence, model::Confidence::unknown);
  EXPECT_EQ(owner.reason, "no tcp socket could have sent this, and nobody holds a raw socket");
}

TEST_P(Images, a_containers_packet_is_attributed_behind_the_guests_nat) {
  const auto guest = open_image(GetParam());
  const auto sockets = engine::list_sockets(guest->view()).value();
  const auto socket = std::find_if(sockets.begin(), sockets.end(), [](const auto& entry) {
    return entry.tuple.remote_port == 7001;
  });
  ASSERT_NE(socket, sockets.end());
  auto packet = engine::packet_from(*socket);
  packet.flow.src = packet::IpAddress::parse("10.77.0.2").value();  // the guest's own, as outside
  attribution::Attributor attributor(guest->view(), [&] { guest->begin_lookup(); });
  const auto owner = attributor.attribute(packet);
  ASSERT_EQ(owner.processes.size(), 1u) << owner.reason;
  EXPECT_EQ(owner.confidence, model::Confidence::exact) << owner.reason;
  EXPECT_EQ(owner.processes.front()->container.size(), 64u);
  EXPECT_EQ(owner.processes.front()->uid, 1500u);

  guest::linux::Conntrack conntrack(guest->view());
  Budget budget(1'000'000);
  const auto by_hash = conntrack.before_nat(packet.flow, budget).value();
  ASSERT_TRUE(by_hash);
  EXPECT_EQ(by_hash->src, packet::IpAddress::parse("10.88.0.2").value());
  EXPECT_EQ(by_hash, conntrack.before_nat_by_sweep(packet.flow, budget).value());
}

TEST_P(Images, a_datagram_with_a_number_that_its_socket_has_not_given_is_not_the_sockets) {
  const auto guest = open_image(GetParam());
  attribution::Attributor attributor(guest->view(), [&] { guest->begin_lookup(); });
  int compared = 0;
  const auto sockets = engine::list_sockets(guest->view()).value();
  for (const auto& socket : sockets) {
    auto packet = engine::packet_from(socket);
    if (socket.tuple.kind != guest::linux::SocketKind::udp || socket.tuple.remote_port == 0 ||
        packet.flow.src.family != packet::IpAddress::Family::v4 || socket.holders.empty())
      continue;
    EXPECT_EQ(attributor.attribute(packet).confidence, model::Confidence::exact);
    packet.ip_id = (packet.ip_id + 20'000) % 65'536;
    EXPECT_EQ(attributor.attribute(packet).confidence, model::Confidence::unknown);
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST_P(Images, a_socket_explains_no_packet_from_an_address_that_its_namespace_has_not) {
  const auto guest = open_image(GetParam());
  attribution::Attributor attributor(guest->view(), [&] { guest->begin_lookup(); });
  int compared = 0;
  const auto sockets = engine::list_sockets(guest->view()).value();
  for (const auto& socket : sockets) {
    const auto& tuple = socket.tuple;
    if (tuple.kind != guest::linux::SocketKind::udp || tuple.remote_port != 0 ||
        tuple.net != guest->view().init_net() || socket.holders.empty())
      continue;
    auto packet = engine::packet_from(socket);
    packet.flow.dst_port = 53;
    const auto confidence_from = [&](const char* v4, const char* v6) {
      packet.flow.src = packet::IpAddress::parse(tuple.is_ipv6_socket ? v6 : v4).value();
      return attributor.attribute(packet).confidence;
    };
    EXPECT_EQ(confidence_from("127.0.0.1", "::1"), model::Confidence::inferred);
    // Others of its addresses too, if it is told to; IPv6 does not say which socket did.
    if (!tuple.is_ipv6_socket) {
      EXPECT_EQ(confidence_from("10.77.0.2", ""), model::Confidence::inferred);
    }
    EXPECT_EQ(confidence_from("10.99.0.6", "fd77::77"), model::Confidence::unknown);
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST_P(Images, time_wait_is_the_kernels_own) {
  const auto guest = open_image(GetParam());
  attribution::Attributor attributor(guest->view(), [&] { guest->begin_lookup(); });
  int seen = 0;
  const auto sockets = engine::list_sockets(guest->view()).value();
  for (const auto& socket : sockets) {
    if (socket.tuple.kind != guest::linux::SocketKind::tcp ||
        socket.tuple.state != guest::linux::TcpState::time_wait)
      continue;
    EXPECT_EQ(attributor.attribute(engine::packet_from(socket)).reason,
              "TIME_WAIT: the kernel's own reply");
    ++seen;
  }
  EXPECT_GT(seen, 0);
}

// What a hostile guest can do to us at worst: be told that it cannot be read.
void read_everything(Guest& guest) {
  if (!guest.find()) return;
  (void)engine::list_processes(guest.view());
  auto sockets = engine::list_sockets(guest.view());
  attribution::Attributor attributor(guest.view(), [&] { guest.begin_lookup(); });
  if (sockets && !sockets->empty())
    (void)attributor.attribute(engine::packet_from(sockets->front()));
}

TEST_P(Images, damaged_memory_costs_an_error_and_never_a_crash_or_a_hang) {
  std::mt19937_64 random(7);
  auto ram = std::make_unique<EditableRam>(GetParam());
  auto& pages = ram->pages();
  const auto guest = Guest::of_ram(std::move(ram));
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, page] : pages) numbers.push_back(number);
  for (int round = 0; round < 12; ++round) {
    // Half of the damage: pointers that lead somewhere real, the worst kind.
    std::vector<std::pair<std::byte*, std::byte>> undo;
    for (int i = 0; i < 400; ++i) {
      auto& page = pages[numbers[random() % numbers.size()]];
      const std::size_t at = random() % (guest::kPageSize / 8) * 8;
      std::uint64_t value = random();
      if (i % 2 == 0) {
        const auto& other = pages[numbers[random() % numbers.size()]];
        std::memcpy(&value, other.data() + random() % (guest::kPageSize / 8) * 8, 8);
      }
      for (std::size_t b = 0; b < 8; ++b) {
        undo.emplace_back(&page[at + b], page[at + b]);
        page[at + b] = static_cast<std::byte>(value >> (8 * b));
      }
    }
    read_everything(*guest);
    for (auto it = undo.rbegin(); it != undo.rend(); ++it) *it->first = it->second;
  }
  read_everything(*guest);
  EXPECT_TRUE(guest->is_found());
}

TEST_P(Images, a_task_list_that_loops_is_told_and_its_processes_are_found_all_the_same) {
  auto ram = std::make_unique<EditableRam>(GetParam());
  auto& pages = ram->pages();
  const auto guest = Guest::of_ram(std::move(ram));
  ASSERT_TRUE(guest->find());
  const auto& view = guest->view();
  const auto before = engine::list_processes(view);
  EXPECT_FALSE(before.incomplete);
  // The last task's next pointer leads to the first task instead of the head.
  const auto& layout = view.layout();
  const auto head = view.profile().symbols.find("init_task").value() + layout.task_tasks.offset;
  const auto first = view.space().read_pointer(head).value();
  const auto last = view.space().read_pointer(head + 8).value();
  const auto at = view.space().translate(last).value().at;
  std::memcpy(pages[at.value / guest::kPageSize].data() + at.value % guest::kPageSize, &first.value,
              8);
  guest->begin_lookup();
  const auto after = engine::list_processes(view);
  EXPECT_EQ(after.processes.size(), before.processes.size());
  ASSERT_TRUE(after.incomplete);
  EXPECT_NE(after.incomplete->message.find("task list: a circle"), std::string::npos);
}

// Writes a kernel pointer into the image.
void write_pointer(EditableRam& ram, const guest::linux::View& view, guest::VirtAddr where,
                   guest::VirtAddr value) {
  const auto at = view.space().translate(where).value().at.value;
  std::memcpy(ram.pages()[at / guest::kPageSize].data() + at % guest::kPageSize, &value.value, 8);
}

TEST_P(Images, a_process_taken_out_of_the_task_list_is_listed_and_marked_hidden) {
  auto ram = std::make_unique<EditableRam>(GetParam());
  EditableRam& edited = *ram;
  const auto guest = Guest::of_ram(std::move(ram));
  ASSERT_TRUE(guest->find());
  const auto& view = guest->view();
  const auto before = engine::list_processes(view);
  // What list_del() does to the last process, a user's.
  const auto head = view.init_task() + view.layout().task_tasks.offset;
  const auto links = view.space().read_pointer(head + 8).value();
  const auto previous = view.space().read_pointer(links + 8).value();
  write_pointer(edited, view, previous, head);
  write_pointer(edited, view, head + 8, previous);
  write_pointer(edited, view, links, guest::VirtAddr{0xdead'0000'0000'0100});
  write_pointer(edited, view, links + 8, guest::VirtAddr{0xdead'0000'0000'0122});
  guest->begin_lookup();

  const auto after = engine::list_processes(view);
  EXPECT_EQ(after.processes.size(), before.processes.size());
  int hidden = 0;
  for (const auto& entry : after.processes) hidden += entry.process.is_hidden ? 1 : 0;
  EXPECT_EQ(hidden, 1);
}

TEST_P(Images, time_that_runs_backwards_is_a_reboot) {
  auto ram = std::make_unique<EditableRam>(GetParam());
  auto& pages = ram->pages();
  const auto guest = Guest::of_ram(std::move(ram));
  ASSERT_TRUE(guest->find());
  const auto at = guest->view()
                      .space()
                      .translate(guest->view().profile().symbols.find("jiffies_64").value())
                      .value()
                      .at;
  ASSERT_TRUE(guest->check());
  std::memset(pages[at.value / guest::kPageSize].data() + at.value % guest::kPageSize, 0, 8);
  const auto holds = guest->check();
  ASSERT_FALSE(holds);
  EXPECT_NE(holds.error().message.find("jiffies went back"), std::string::npos);
  EXPECT_FALSE(guest->is_found());
}

// Replaces a 32-bit value wherever it lies in the kernel's image.
void replace_in_image(EditableRam& ram, const guest::kernel::KernelImage& image, std::uint32_t from,
                      std::uint32_t to) {
  for (auto& [number, page] : ram.pages()) {
    const std::uint64_t at = number * guest::kPageSize;
    if (at < image.text_phys.value || at >= image.text_phys.value + image.size) continue;
    for (std::size_t i = 0; i + 4 <= page.size(); i += 4)
      if (std::memcmp(page.data() + i, &from, 4) == 0) std::memcpy(page.data() + i, &to, 4);
  }
}

TEST_P(Images, a_kernel_without_btf_is_named_with_what_it_needs) {
  auto ram = std::make_unique<EditableRam>(GetParam());
  EditableRam& edited = *ram;
  const auto guest = Guest::of_ram(std::move(ram));
  ASSERT_TRUE(guest->find());
  // In kallsyms, __stop_BTF shall be where __start_BTF is: an empty blob.
  const auto& profile = guest->view().profile();
  const auto image = profile.image;
  const auto offset = [&](const char* symbol) {
    return static_cast<std::uint32_t>(image.text.value - 1 - profile.symbols.find(symbol)->value);
  };
  const auto start = offset("__start_BTF"), stop = offset("__stop_BTF");
  replace_in_image(edited, image, stop, start);
  const auto found = guest->find();
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("carries no BTF"), std::string::npos)
      << found.error().message;
  EXPECT_NE(found.error().message.find("CONFIG_DEBUG_INFO_BTF=y"), std::string::npos);
}

TEST_P(Images, encrypted_memory_is_told_as_what_it_looks_like) {
  auto ram = std::make_unique<EditableRam>(GetParam());
  std::mt19937_64 random(3);
  for (auto& [number, page] : ram->pages())
    for (auto& byte : page) byte = static_cast<std::byte>(random());
  const auto found = Guest::of_ram(std::move(ram))->find();
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("encrypt its memory (SEV, TDX)"), std::string::npos);
}

TEST_P(Images, an_image_cut_short_says_so) {
  const std::string path = testing::TempDir() + "/cut-" + GetParam() + ".img";
  std::filesystem::copy_file(support::image_path(GetParam()), path,
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(path, 500 << 20);
  auto guest = Guest::of_ram(guest::memory::ImageRam::open(path).value());
  const auto found = guest->find();
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("cut short"), std::string::npos) << found.error().message;
  std::filesystem::remove(path);
}

TEST(Image, too_small_a_file_is_refused_with_a_way_out) {
  const std::string path = testing::TempDir() + "/small.img";
  std::ofstream(path) << "not an image";
  const auto image = guest::memory::ImageRam::open(path);
  ASSERT_FALSE(image);
  EXPECT_NE(image.error().message.find("zstd -d"), std::string::npos);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace xfilter
