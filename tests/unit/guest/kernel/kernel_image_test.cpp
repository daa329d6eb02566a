// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/kernel_image.h"

#include <gtest/gtest.h>

#include "tests/support/synthetic_guest.h"

namespace xfilter::guest::kernel {
namespace {

constexpr std::uint64_t kTrampoline = 0x9c000, kTop = 0x800000, kLevel4 = 0x801000,
                        kLevel3 = 0x802000, kLevel2 = 0x803000, kElsewhere = 0x804000;
constexpr std::uint64_t kImage = 0x1000000;  // physical
constexpr std::size_t kFirstSlot = 8, kSlots = 12;
constexpr std::uint64_t kTableFlags = 0x067, kPageFlags = 0x1e3;

// The upper levels of a kernel's page tables, as Linux leaves them.
class Tables {
 public:
  explicit Tables(paging::Levels levels) {
    set(kLevel3, 510, kLevel2 | kTableFlags);
    set(kLevel3, 511, kElsewhere | kTableFlags);
    for (std::size_t i = 0; i < kSlots; ++i)
      set(kLevel2, kFirstSlot + i, (kImage + i * 0x200000) | kPageFlags);
    set(kLevel4, 511, kLevel3 | kTableFlags);
    set(kLevel4, 508, kElsewhere | kTableFlags);  // CPU entry areas
    set(kTrampoline, 511, (levels == paging::Levels::five ? kLevel4 : kLevel3) | kTableFlags);
  }

  void set(std::uint64_t table, std::size_t entry, std::uint64_t value) {
    std::memcpy(ram_.bytes().data() + table + entry * 8, &value, sizeof value);
  }
  Result<KernelImage> find() {
    memory::GuestMemory memory(ram_);
    return find_kernel_image(memory);
  }

 private:
  support::BytesRam ram_{64 << 20};
};

void expect_found(const Result<KernelImage>& image, paging::Levels levels) {
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->text.value, 0xffff'ffff'8000'0000 + kFirstSlot * 0x200000);
  EXPECT_EQ(image->text_phys.value, kImage);
  EXPECT_EQ(image->size, kSlots * 0x200000);
  EXPECT_EQ(image->levels, levels);
}

TEST(KernelImage, is_found_with_four_levels) {
  expect_found(Tables(paging::Levels::four).find(), paging::Levels::four);
}

TEST(KernelImage, is_found_with_five_levels) {
  expect_found(Tables(paging::Levels::five).find(), paging::Levels::five);
}

// Seen on 6.12 with la57: vmemmap began in the last 256 TiB, entry 56 of the image's own table.
TEST(KernelImage, is_found_with_other_areas_in_the_lower_half_of_its_last_table) {
  Tables tables(paging::Levels::five);
  tables.set(kLevel4, 56, kElsewhere | kTableFlags);
  expect_found(tables.find(), paging::Levels::five);
}

TEST(KernelImage, is_not_a_table_with_entries_that_lead_to_no_table) {
  Tables tables(paging::Levels::five);
  tables.set(kLevel4, 56, 0x1234'5678);
  EXPECT_FALSE(tables.find());
}

TEST(KernelImage, is_not_slots_that_are_out_of_line) {
  Tables tables(paging::Levels::four);
  tables.set(kLevel2, kFirstSlot + 3, (kImage + 0x20000000) | kPageFlags);
  EXPECT_FALSE(tables.find());
}

}  // namespace
}  // namespace xfilter::guest::kernel
