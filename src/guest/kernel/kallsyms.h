// SPDX-License-Identifier: Apache-2.0
// guest/kernel/kallsyms.h: names and addresses of the guest kernel's symbols, from its own tables.
//
// The kernel carries a compressed symbol table (scripts/kallsyms.c). Where it lies is not known
// beforehand: the token table is found by its contents and the others by where they lie around it.
// Four layouts are known; each is tried, and one must hold in every check:
//   up to 6.1   offsets relative_base num_syms names markers token_table token_index
//   6.2, 6.3    the same with seqs_of_names before token_table (commit 60443c88f3a8 "kallsyms:
//   Improve
//               the performance of kallsyms_lookup_name()"; also in later 6.1 stable releases)
//   6.4 - 6.19  num_syms names markers token_table token_index offsets relative_base seqs_of_names
//   7.0 on      the same, without relative_base: offsets count from their own place
// Input:   guest memory, hostile. Every length is bounded by the image's size.
// Cost:    one sweep of the image (36-54 MiB) and decoding of all names (90,000-190,000): 15-40 ms.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "guest/kernel/kernel_image.h"

namespace xfilter::guest::kernel {

class Symbols {
 public:
  // Absent is normal: kernels differ.
  std::optional<VirtAddr> find(std::string_view name) const;
  Result<VirtAddr> need(std::string_view name) const;  // profile_lacks_symbol, with the name
  void add(std::string name, VirtAddr at) { addresses_.try_emplace(std::move(name), at); }
  std::size_t size() const { return addresses_.size(); }

 private:
  std::unordered_map<std::string, VirtAddr> addresses_;
};

// Decodes the table and keeps the symbols in `wanted`. A compiler's ".NUMBER" suffix is ignored
// (inet_ehash_secret.5); of several with one name the first wins.
Result<Symbols> read_kallsyms(const memory::GuestMemory& memory, const KernelImage& image,
                              std::span<const std::string_view> wanted);

}  // namespace xfilter::guest::kernel
