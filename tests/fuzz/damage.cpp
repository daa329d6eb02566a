// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/damage.h"

#include <algorithm>
#include <array>
#include <random>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace xfilter::fuzz {
namespace {

using guest::kPageSize;

// Where counts go wrong. Smaller operands than kSmall are numbers themselves: states, families.
constexpr std::uint64_t kSmall = 16;
constexpr std::array<std::uint64_t, 16> kNumbers = {
    255,
    256,
    4095,
    4096,
    0x7fff'ffff,
    0x8000'0000,
    0xffff'ffff,
    1 << 20,  // kMostDescriptors
    (1 << 20) + 1,
    (1 << 24) - 1,  // kLargestTable - 1, as a mask
    1ULL << 32,
    1ULL << 63,
    ~(1ULL << 63),
    ~0ULL,
    ~0ULL - 7,
    0xffff'8000'0000'0000,  // the lowest kernel address
};

constexpr std::uint64_t kTableFlags = 0x63, kLargeFlags = 0xe3;

template <class T>
T take(std::span<const std::uint8_t>& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes = bytes.subspan(sizeof value);
  return value;
}

void put(const InputPatch& patch, std::span<std::uint8_t> into) {
  const auto add = [&](const auto& value) {
    std::memcpy(into.data(), &value, sizeof value);
    into = into.subspan(sizeof value);
  };
  add(patch.page);
  add(patch.word);
  add(patch.kind);
  add(patch.when);
  add(patch.operand);
}

// A small distance, up or down, from two bytes of an operand.
std::uint64_t small(std::uint64_t operand) {
  return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int16_t>(operand >> 32)});
}

}  // namespace

std::optional<Input> Input::parse(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < kHeader) return std::nullopt;
  Input input{bytes[0], bytes[1], {}};
  bytes = bytes.subspan(kHeader);
  while (bytes.size() >= InputPatch::kSize && input.patches.size() < kMostPatches) {
    InputPatch patch;
    patch.page = take<std::uint16_t>(bytes);
    patch.word = take<std::uint16_t>(bytes);
    patch.kind = take<std::uint8_t>(bytes);
    patch.when = take<std::uint8_t>(bytes);
    patch.operand = take<std::uint64_t>(bytes);
    input.patches.push_back(patch);
  }
  return input;
}

Places::Places(const HostileRam::Words& words, const guest::kernel::Profile& profile)
    : profile_(&profile) {
  for (const auto& [number, offsets] : words)
    pages_.push_back({number, {offsets.begin(), offsets.end()}});
}

std::uint64_t Places::at(std::uint64_t page, std::uint64_t word) const {
  const Page& chosen = pages_[page % pages_.size()];
  return chosen.number * kPageSize + chosen.words[word % chosen.words.size()];
}

// As the kernel itself would point there: into its image, or through the direct map.
std::uint64_t Places::address_of(std::uint64_t offset) const {
  const auto& image = profile_->image;
  const std::uint64_t in_image = offset - image.text_phys.value;
  return in_image < image.size ? image.text.value + in_image : profile_->page_offset.value + offset;
}

std::uint64_t Places::lie(const InputPatch& patch, std::uint64_t own, const HostileRam& ram) const {
  const std::uint64_t other = at(patch.operand & 0xffff, patch.operand >> 16 & 0xffff);
  switch (static_cast<Lie>(patch.kind % static_cast<int>(Lie::count))) {
    case Lie::any:
    case Lie::count:
      break;
    case Lie::number:
      if (patch.operand % (kSmall + kNumbers.size()) < kSmall) return patch.operand % kSmall;
      return kNumbers[patch.operand % kNumbers.size()];
    case Lie::own_address:
      return address_of(own) + small(patch.operand);
    case Lie::other_address:
      return address_of(other) + small(patch.operand);
    case Lie::other_value:
      return ram.honest_word(other);
    case Lie::nearly_true:
      return ram.honest_word(own) + small(patch.operand);
    case Lie::table_entry: {
      const std::uint64_t page = (patch.operand >> 48 & 1) != 0 ? own : other;
      const bool is_large = (patch.operand >> 49 & 1) != 0;
      return page / kPageSize * kPageSize | (is_large ? kLargeFlags : kTableFlags);
    }
  }
  return patch.operand;
}

std::vector<Patch> Places::patches_of(const Input& input, const HostileRam& ram) const {
  std::vector<Patch> patches;
  for (const InputPatch& chosen : input.patches) {
    Patch patch;
    patch.at = at(chosen.page, chosen.word);
    patch.value = lie(chosen, patch.at, ram);
    switch (chosen.kind >> 6) {
      case 1:  // a 32-bit member in the upper half
        patch.at += 4;
        patch.size = 4;
        break;
      case 2:
        patch.size = 4;
        break;
      case 3:
        patch.at += chosen.kind >> 3 & 7;
        patch.size = 1;
        break;
      default:
        break;
    }
    patch.after = chosen.when & 0x3f;
    patch.flickers = chosen.when >> 7 != 0;
    patches.push_back(patch);
  }
  return patches;
}

void explain(const Input& input, const std::vector<Patch>& patches, const HostileRam& ram) {
  fmt::print(stderr, "image {}, choice {}\n", input.image, input.choice);
  for (const Patch& patch : patches)
    fmt::print(stderr, "at {:#x} (which holds {:#x}): {:#x} in {} bytes, after {} reads{}\n",
               patch.at, ram.honest_word(patch.at & ~std::uint64_t{7}), patch.value, patch.size,
               patch.after, patch.flickers ? ", every other time" : "");
}

std::size_t mutate(std::span<std::uint8_t> bytes, std::size_t size, unsigned seed) {
  std::minstd_rand random(seed);
  const std::size_t count = size < Input::kHeader ? 0 : (size - Input::kHeader) / InputPatch::kSize;
  const auto patch_at = [&](std::size_t i) {
    return bytes.subspan(Input::kHeader + i * InputPatch::kSize, InputPatch::kSize);
  };
  const auto word = [&] { return static_cast<std::uint16_t>(random()); };
  const bool has_room = Input::kHeader + (count + 1) * InputPatch::kSize <= bytes.size() &&
                        count < Input::kMostPatches;
  switch (random() % 8) {
    case 0:
    case 1:
    case 2:  // one more
      if (size >= Input::kHeader && has_room) {
        InputPatch patch{word(), word(), static_cast<std::uint8_t>(random()), 0, 0};
        patch.operand = std::uint64_t{word()} | std::uint64_t{word()} << 16;
        if (random() % 4 == 0) patch.operand |= std::uint64_t{random() % 64 * 8} << 32;
        if (random() % 4 == 0) patch.when = static_cast<std::uint8_t>(random());
        put(patch, patch_at(count));
        return Input::kHeader + (count + 1) * InputPatch::kSize;
      }
      break;
    case 3:  // one less
      if (count > 0) {
        const auto gone = patch_at(random() % count), last = patch_at(count - 1);
        std::copy(last.begin(), last.end(), gone.begin());
        return Input::kHeader + (count - 1) * InputPatch::kSize;
      }
      break;
    case 4:  // another image or choice
      if (size >= Input::kHeader) {
        bytes[random() % Input::kHeader] = static_cast<std::uint8_t>(random());
        return size;
      }
      break;
    default:  // one changed
      if (count > 0) {
        const auto changed = patch_at(random() % count);
        LLVMFuzzerMutate(changed.data(), changed.size(), changed.size());
        return Input::kHeader + count * InputPatch::kSize;
      }
      break;
  }
  return LLVMFuzzerMutate(bytes.data(), size, bytes.size());
}

}  // namespace xfilter::fuzz
