// SPDX-License-Identifier: Apache-2.0
// The kernel's symbol tables. The input lies in a kernel image of 2 MiB; the rest is zeros.
#include "guest/kernel/kallsyms.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/fuzz/expect.h"

namespace xfilter {
namespace {

constexpr std::size_t kImageSize = guest::kLargePageSize;
constexpr std::size_t kInputAt = 1
                                 << 16;  // tables are not looked for at the very start of an image
constexpr std::array<std::string_view, 3> kWanted = {"_text", "init_task", "linux_banner"};

class BytesRam final : public guest::memory::Ram {
 public:
  explicit BytesRam(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t size() const override { return kImageSize; }
  Result<void> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (offset > kImageSize || kImageSize - offset < into.size())
      return fail(Errc::guest_page_not_present, "beyond the end");
    std::memset(into.data(), 0, into.size());
    const std::size_t begin = std::max(offset, std::uint64_t{kInputAt});
    const std::size_t end = std::min(offset + into.size(), kInputAt + bytes_.size());
    if (begin < end)
      std::memcpy(into.data() + (begin - offset), bytes_.data() + (begin - kInputAt), end - begin);
    return {};
  }
  std::optional<guest::memory::Extent> next_data(std::uint64_t from) const override {
    if (from >= kImageSize) return std::nullopt;
    return guest::memory::Extent{from, kImageSize};
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace
}  // namespace xfilter

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xfilter;
  const BytesRam ram(std::as_bytes(std::span(data, size)));
  const guest::memory::GuestMemory memory(ram);
  const guest::kernel::KernelImage image{
      {0xffff'ffff'8100'0000}, {0}, kImageSize, guest::paging::Levels::four};
  const auto symbols = guest::kernel::read_kallsyms(memory, image, kWanted);
  if (!symbols) return 0;
  fuzz::expect(symbols->size() <= kWanted.size(), "symbols that nobody wanted");
  fuzz::expect(symbols->find("_text") == image.text, "_text is not where the image starts");
  return 0;
}
