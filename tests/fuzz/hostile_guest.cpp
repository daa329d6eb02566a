// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/hostile_guest.h"

#include <cstdlib>
#include <cstring>
#include <optional>

#include "tests/fuzz/damage.h"
#include "tests/fuzz/hostile_ram.h"

namespace xfilter::fuzz {
namespace {

// A guest that was opened once, undamaged, and is damaged afresh for each input.
struct Guest {
  explicit Guest(const std::string& name) : honest(name), ram(honest), memory(ram) {
    auto found = guest::kernel::find_profile(memory);
    if (!found) {
      fmt::print(stderr, "{}: {}\n", name, found.error().message);
      std::abort();
    }
    profile = std::move(*found);
    view.emplace(profile, memory);
    reader = open_reader(memory, *view);
    HostileRam::Words words;
    ram.record_into(&words);
    for (std::size_t i = 0; i < reader->choices(); ++i) {
      ram.begin({}, kMostSteps);
      reader->read(i);
    }
    ram.record_into(nullptr);
    places = Places(words, profile);
  }

  support::EditableRam honest;
  HostileRam ram;
  guest::memory::GuestMemory memory;
  guest::kernel::Profile profile;
  std::optional<guest::linux::View> view;
  std::unique_ptr<Reader> reader;
  Places places;
};

Guest& guest_of(std::uint8_t image) {
  static std::map<std::string, std::unique_ptr<Guest>> opened;
  const auto names = support::image_names();
  const auto& name = names[image % names.size()];
  auto& guest = opened[name];
  if (!guest) guest = std::make_unique<Guest>(name);
  return *guest;
}

}  // namespace

}  // namespace xfilter::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xfilter::fuzz;
  const auto input = Input::parse({data, size});
  if (!input) return -1;
  Guest& guest = guest_of(input->image);
  auto patches = guest.places.patches_of(*input, guest.ram);
  const bool is_explained = std::getenv("XFILTER_FUZZ_EXPLAIN") != nullptr;
  if (is_explained) explain(*input, patches, guest.ram);
  guest.ram.begin(std::move(patches), kMostSteps);
  guest.reader->read(input->choice % guest.reader->choices());
  if (is_explained) fmt::print(stderr, "{} steps of {}\n", guest.ram.steps(), kMostSteps);
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return xfilter::fuzz::mutate({data, max_size}, size, seed);
}
