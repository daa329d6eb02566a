// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/kernel_image.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/budget.h"

namespace xfilter::guest::kernel {
namespace {

using memory::GuestMemory;
using memory::kHighRam;
namespace entry = paging::entry;
using Table = std::array<std::uint64_t, 512>;

constexpr std::uint64_t kLowMemory = 1 << 20;  // the real-mode trampoline is below 1 MiB
constexpr std::uint64_t kKernelMap = 0xffff'ffff'8000'0000;  // __START_KERNEL_map, where slot 0 is
constexpr std::uint64_t kLargestImage = 256 << 20;           // a guess
constexpr std::size_t kMostCandidates = 16;        // of the trampoline; honest guests have one
constexpr std::uint64_t kSmallestImage = 8 << 20;  // a guess; Debian's are 36-54 MiB
// Places that have the shape of a kernel's table at which a split is tried; honest guests have one
// or two. Each can cost reading 512 tables below it.
constexpr std::uint64_t kMostSplits = 64;

std::optional<Table> read_table(const GuestMemory& memory, PhysAddr at) {
  Table table;
  if (!memory.read(at, std::as_writable_bytes(std::span(table)))) return std::nullopt;
  return table;
}

bool is_present(std::uint64_t value) {
  return (value & entry::present) != 0;
}

// level3_kernel_pgt of arch/x86/kernel/head_64.S: 510 zero entries, kernel image, fixmap.
bool looks_like_level3_kernel_pgt(const Table& table) {
  for (std::size_t i = 0; i < 510; ++i)
    if (table[i] != 0) return false;
  return is_present(table[510]) && is_present(table[511]);
}

// An entry of the kernel's upper levels that leads to a further table.
bool leads_to_table(std::uint64_t value) {
  constexpr std::uint64_t wanted = entry::present | entry::writable;
  return (value & wanted) == wanted && (value & (entry::no_execute | entry::large)) == 0 &&
         entry::address(value).value != 0;
}

// level4_kernel_pgt, the fifth level's child with la57. Besides the kernel's image it maps the CPU
// entry areas and, where randomisation puts it there, part of the direct map, vmalloc or vmemmap.
bool looks_like_level4_kernel_pgt(const Table& table) {
  return leads_to_table(table[511]) &&
         std::all_of(table.begin(), table.end(),
                     [](std::uint64_t value) { return value == 0 || leads_to_table(value); });
}

// The physical address behind one 2 MiB slot of level2_kernel_pgt; a slot can be split into 4 KiB
// pages.
std::optional<PhysAddr> slot_address(const GuestMemory& memory, std::uint64_t slot) {
  if (!is_present(slot)) return std::nullopt;
  if ((slot & entry::large) != 0)
    return PhysAddr{entry::address(slot).value & ~(kLargePageSize - 1)};
  auto table = read_table(memory, entry::address(slot));
  if (!table) return std::nullopt;
  for (std::size_t i = 0; i < table->size(); ++i)
    if (is_present((*table)[i])) return PhysAddr{entry::address((*table)[i]).value - i * kPageSize};
  return std::nullopt;
}

// The image that level3_kernel_pgt maps, if every slot is linear.
std::optional<KernelImage> image_below(const GuestMemory& memory, const Table& level3,
                                       paging::Levels levels) {
  const auto level2 = read_table(memory, entry::address(level3[510]));
  if (!level2) return std::nullopt;
  std::optional<std::size_t> first, last;
  std::uint64_t delta = 0;  // physical address of slot 0, were it mapped; may wrap
  for (std::size_t i = 0; i < level2->size(); ++i) {
    const auto at = slot_address(memory, (*level2)[i]);
    if (!at) continue;
    if (!first) {
      first = i;
      delta = at->value - i * kLargePageSize;
    }
    if (at->value - i * kLargePageSize != delta) return std::nullopt;
    last = i;
  }
  if (!first) return std::nullopt;
  const std::uint64_t size = (*last - *first + 1) * kLargePageSize;
  if (size < kSmallestImage || size > kLargestImage) return std::nullopt;
  return KernelImage{
      {kKernelMap + *first * kLargePageSize}, {delta + *first * kLargePageSize}, size, levels};
}

// What the last entry of a top-level table leads to, under the present split of memory.
std::optional<KernelImage> image_behind(const GuestMemory& memory, std::uint64_t last_entry) {
  const auto table = read_table(memory, entry::address(last_entry));
  if (!table) return std::nullopt;
  if (looks_like_level3_kernel_pgt(*table))
    return image_below(memory, *table, paging::Levels::four);
  if (!looks_like_level4_kernel_pgt(*table)) return std::nullopt;
  const auto level3 = read_table(memory, entry::address((*table)[511]));
  if (!level3 || !looks_like_level3_kernel_pgt(*level3)) return std::nullopt;
  return image_below(memory, *level3, paging::Levels::five);
}

// Entry 511 of every page of the first MiB that can be a top-level table.
std::vector<std::uint64_t> trampoline_candidates(const GuestMemory& memory) {
  std::vector<std::uint64_t> candidates;
  for (std::uint64_t at = 0; at < kLowMemory; at += kPageSize) {
    Table table;
    if (!memory.sweep({at}, std::as_writable_bytes(std::span(table)))) continue;
    if (!leads_to_table(table[511])) continue;
    if (read_table(memory, {at})) candidates.push_back(table[511]);
    if (candidates.size() == kMostCandidates) break;
  }
  return candidates;
}

// The kernel's tables lie above 4 GiB, and we do not know yet which part of our block that is.
// Whatever the split, it moves pages by whole MiB, so the table can only be at offsets that are
// equal to its address modulo 1 MiB. Each that has the right shape proposes a split; the page
// tables below it confirm.
std::optional<KernelImage> find_split(GuestMemory& memory, std::uint64_t last_entry,
                                      Budget& budget) {
  const PhysAddr target = entry::address(last_entry);
  if (target.value < kHighRam) return std::nullopt;
  constexpr std::uint64_t kStep = 1 << 20;
  const memory::Ram& ram = memory.ram();
  const std::uint64_t high_offset = target.value - kHighRam;
  for (std::uint64_t at = target.value % kStep; at + kPageSize <= ram.size(); at += kStep) {
    if (at < high_offset) continue;
    Table table;
    if (!ram.sweep(at, std::as_writable_bytes(std::span(table)))) continue;
    if (!looks_like_level3_kernel_pgt(table) && !looks_like_level4_kernel_pgt(table)) continue;
    if (!budget.spend("splits of RAM")) break;
    memory.set_low_size(at - high_offset);
    if (auto image = image_behind(memory, last_entry)) return image;
  }
  memory.set_low_size(ram.size());
  return std::nullopt;
}

}  // namespace

Result<KernelImage> find_kernel_image(GuestMemory& memory) {
  memory.set_low_size(memory.ram().size());
  if (!memory.ram().next_data(0))
    return fail(Errc::guest_kernel_not_found,
                "the guest's memory is empty: the VM has not started");
  const auto candidates = trampoline_candidates(memory);
  for (const std::uint64_t last_entry : candidates)
    if (auto image = image_behind(memory, last_entry)) return *image;
  Budget splits(kMostSplits);
  for (const std::uint64_t last_entry : candidates)
    if (auto image = find_split(memory, last_entry, splits)) return *image;
  return fail(
      Errc::guest_kernel_not_found,
      "no Linux x86-64 kernel in the guest's memory: none of the {} candidate page tables in the "
      "first MiB leads to a kernel image. The VM may be in its firmware or boot loader, run "
      "another "
      "system, or encrypt its memory (SEV, TDX); an image may be cut short",
      candidates.size());
}

}  // namespace xfilter::guest::kernel
