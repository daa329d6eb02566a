// SPDX-License-Identifier: Apache-2.0
// Type information. The input is the blob; every member that we ever ask for is asked for.
#include "guest/kernel/btf.h"

#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace xfilter;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto btf = guest::kernel::Btf::parse({bytes.begin(), bytes.end()});
  if (!btf) return 0;
  fuzz::expect(btf->type_count() <= 1 + size / 12, "more types than their headers take");
#define MEMBER(name, type, path) (void)btf->find_member(type, path);
#define OPTIONAL(name, type, path) (void)btf->find_member(type, path);
#define SIZE(name, type) (void)btf->find_size(type);
#include "guest/kernel/layout.def"
  return 0;
}
