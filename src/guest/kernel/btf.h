// SPDX-License-Identifier: Apache-2.0
// guest/kernel/btf.h: layouts of the guest kernel's types, from its own BTF.
//
// Source: Documentation/bpf/btf.rst. The blob lies between __start_BTF and __stop_BTF.
// Input:   guest memory, hostile: every id, offset and chain is checked; anonymous members and
// typedefs
//          are followed to a fixed depth, and a look-up has a budget.
// Cost:    parsing is one pass over the types (77,000-118,000: 2-4 ms); a look-up is linear in the
//          members of the struct it names.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/result.h"

namespace xfilter::guest::kernel {

class Btf {
 public:
  // Takes the blob. guest_data_invalid says what does not add up, and where.
  static Result<Btf> parse(std::vector<std::byte> blob);

  struct Member {
    std::uint32_t offset = 0;  // bytes from the start of the outer struct
    std::uint32_t size = 0;    // bytes of the member itself
  };
  // `path` is "member" or "member.member...", through embedded structs; anonymous ones are looked
  // through. Absent is normal: kernels differ.
  std::optional<Member> find_member(std::string_view type, std::string_view path) const;
  std::optional<std::uint32_t> find_size(std::string_view type) const;
  std::size_t type_count() const { return types_.size(); }

 private:
  struct Type {
    std::uint32_t name = 0;
    std::uint32_t info = 0;
    std::uint32_t size_or_type = 0;
    std::uint32_t data = 0;  // offset in blob_ of what follows the header
  };
  explicit Btf(std::vector<std::byte> blob) : blob_(std::move(blob)) {}

  std::string_view name_at(std::uint32_t offset) const;
  const Type* resolved(std::uint32_t id) const;
  std::optional<Member> find_in(const Type& type, std::string_view path, int depth,
                                Budget& budget) const;
  std::uint32_t size_of(std::uint32_t id, int depth) const;

  std::vector<std::byte> blob_;
  std::span<const std::byte> strings_;
  std::vector<Type> types_;  // by id; [0] is void
  std::unordered_map<std::string_view, std::uint32_t> structs_;
};

}  // namespace xfilter::guest::kernel
