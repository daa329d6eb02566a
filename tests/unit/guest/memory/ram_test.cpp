// SPDX-License-Identifier: Apache-2.0
// The contract of guest/memory/ram.h, held by every backend.
#include "guest/memory/ram.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <ostream>
#include <vector>

#include "guest/memory/image_ram.h"
#include "guest/memory/page_cache.h"
#include "guest/memory/process_ram.h"
#include "guest/memory/shared_ram.h"

namespace xfilter::guest::memory {
namespace {

constexpr std::uint64_t kSize = 16 << 20;  // the least that an image may have

// Pages 2 to 6 hold bytes that tell where they are; the others were never written.
constexpr Extent kWritten{2 * kPageSize, 7 * kPageSize};

std::byte byte_at(std::uint64_t offset) {
  const bool is_written = offset >= kWritten.begin && offset < kWritten.end;
  return is_written ? static_cast<std::byte>(offset / 8 + offset / kPageSize + 1) : std::byte{0};
}

void write_to(std::byte* memory) {
  for (std::uint64_t at = kWritten.begin; at < kWritten.end; ++at) memory[at] = byte_at(at);
}

Fd file_with_data() {
  Fd file(::memfd_create("ram", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(file.number(), kSize), 0);
  std::vector<std::byte> bytes(kSize);
  write_to(bytes.data());
  EXPECT_EQ(::pwrite(file.number(), bytes.data() + kWritten.begin, kWritten.end - kWritten.begin,
                     static_cast<off_t>(kWritten.begin)),
            static_cast<ssize_t>(kWritten.end - kWritten.begin));
  return file;
}

// This process stands for the VMM.
class OwnMemory {
 public:
  OwnMemory()
      : at_(static_cast<std::byte*>(
            ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))),
        mem_(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC)),
        pagemap_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {
    write_to(at_);
  }
  OwnMemory(const OwnMemory&) = delete;
  ~OwnMemory() { ::munmap(at_, kSize); }

  void unmap(std::uint64_t page) { ::munmap(at_ + page * kPageSize, kPageSize); }
  std::unique_ptr<Ram> ram() const {
    return std::make_unique<ProcessRam>(mem_, pagemap_, reinterpret_cast<std::uint64_t>(at_),
                                        kSize);
  }

 private:
  std::byte* at_;
  Fd mem_, pagemap_;
};

struct Backend {
  const char* name;
  std::function<std::unique_ptr<Ram>()> make;
};

void PrintTo(const Backend& backend, std::ostream* out) {
  *out << backend.name;
}

class RamContract : public testing::TestWithParam<Backend> {
 protected:
  std::unique_ptr<Ram> ram_ = GetParam().make();
};

OwnMemory& own_memory() {
  static OwnMemory memory;
  return memory;
}

INSTANTIATE_TEST_SUITE_P(
    Backends, RamContract,
    testing::Values(
        Backend{"process", [] { return own_memory().ram(); }},
        Backend{"shared", [] { return SharedRam::map(file_with_data(), 0, kSize).value(); }},
        Backend{"image",
                [] {
                  const Fd file = file_with_data();
                  return ImageRam::open(fmt::format("/proc/self/fd/{}", file.number())).value();
                }},
        Backend{"cached",
                [] {
                  static const std::unique_ptr<Ram> inner = own_memory().ram();
                  return std::make_unique<PageCache>(*inner);
                }}),
    [](const auto& backend) { return backend.param.name; });

TEST_P(RamContract, gives_the_bytes_of_any_range) {
  EXPECT_EQ(ram_->size(), kSize);
  for (const std::uint64_t begin :
       {std::uint64_t{0}, kWritten.begin - 3, 5 * kPageSize - 1, kSize - 1})
    for (const std::uint64_t size : {1UL, 8UL, 5000UL, 6 * kPageSize}) {
      if (begin + size > kSize) continue;
      std::vector<std::byte> bytes(size);
      ASSERT_TRUE(ram_->read(begin, bytes));
      for (std::uint64_t i = 0; i < size; ++i) ASSERT_EQ(bytes[i], byte_at(begin + i));
    }
}

TEST_P(RamContract, refuses_a_range_that_leaves_the_block) {
  std::vector<std::byte> bytes(16);
  for (const std::uint64_t begin : {kSize - 15, kSize, kSize + 1, UINT64_MAX - 7}) {
    const auto read = ram_->read(begin, bytes);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Errc::guest_page_not_present);
  }
}

TEST_P(RamContract, finds_what_was_written_and_nothing_behind_it) {
  const auto all = ram_->next_data(0);
  ASSERT_TRUE(all);
  EXPECT_LE(all->begin, kWritten.begin);
  EXPECT_GE(all->end, kWritten.end);
  const auto rest = ram_->next_data(kWritten.begin + 100);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->begin, kWritten.begin + 100);
  EXPECT_EQ(ram_->next_data(kSize), std::nullopt);
}

TEST(PageCacheOf, neighbouring_pages_come_with_one_call) {
  const auto inner = own_memory().ram();
  const PageCache cache(*inner);
  std::vector<std::byte> bytes(3 * kPageSize);
  ASSERT_TRUE(cache.read(2 * kPageSize + 8, bytes));  // four pages
  EXPECT_EQ(cache.misses(), 1U);
  cache.prefetch(5 * kPageSize, 2 * kPageSize);  // one of them is known
  EXPECT_EQ(cache.misses(), 2U);
  ASSERT_TRUE(cache.read(6 * kPageSize, std::span(bytes).first(8)));
  EXPECT_EQ(cache.misses(), 2U);
}

TEST(PageCacheOf, a_look_up_sees_nothing_older_than_itself) {
  Fd file(file_with_data());
  const Fd writer(::dup(file.number()));
  const auto inner = SharedRam::map(std::move(file), 0, kSize).value();
  const PageCache cache(*inner);
  std::byte byte{};
  ASSERT_TRUE(cache.read(0, std::span(&byte, 1)));
  const std::byte changed{42};
  ASSERT_EQ(::pwrite(writer.number(), &changed, 1, 0), 1);
  ASSERT_TRUE(cache.read(0, std::span(&byte, 1)));
  EXPECT_EQ(byte, std::byte{0});
  cache.begin_lookup();
  ASSERT_TRUE(cache.read(0, std::span(&byte, 1)));
  EXPECT_EQ(byte, changed);
}

TEST(PageCacheOf, a_page_that_is_gone_does_not_cost_its_neighbours) {
  OwnMemory memory;
  memory.unmap(4);
  const auto inner = memory.ram();
  const PageCache cache(*inner);
  std::vector<std::byte> bytes(2 * kPageSize);
  EXPECT_FALSE(cache.read(3 * kPageSize, bytes));
  cache.prefetch(3 * kPageSize, 3 * kPageSize);
  ASSERT_TRUE(cache.read(5 * kPageSize, std::span(bytes).first(kPageSize)));
  EXPECT_EQ(bytes[0], byte_at(5 * kPageSize));
  EXPECT_FALSE(cache.read(4 * kPageSize, std::span(bytes).first(1)));
}

}  // namespace
}  // namespace xfilter::guest::memory
