// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/btf.h"

#include <algorithm>
#include <cstring>

namespace xfilter::guest::kernel {
namespace {

// include/uapi/linux/btf.h
enum Kind : std::uint32_t {
  kInt = 1,
  kPtr,
  kArray,
  kStruct,
  kUnion,
  kEnum,
  kFwd,
  kTypedef,
  kVolatile,
  kConst,
  kRestrict,
  kFunc,
  kFuncProto,
  kVar,
  kDatasec,
  kFloat,
  kDeclTag,
  kTypeTag,
  kEnum64,
};
constexpr std::uint16_t kMagic = 0xeb9f;
constexpr std::uint32_t kTypeHeader = 12;
constexpr std::uint32_t kMemberSize = 12;
constexpr int kDeepest = 16;  // nesting of anonymous members and of typedefs
// Members that a look-up may pass: task_struct has 270. Anonymous members of one type in another,
// 16 deep, would otherwise be any power of two.
constexpr std::uint64_t kMostMembers = 100'000;
constexpr std::size_t kLongestName = 1024;  // twice the kernel's KSYM_NAME_LEN

std::uint32_t kind_of(std::uint32_t info) {
  return (info >> 24) & 0x1f;
}
std::uint32_t vlen_of(std::uint32_t info) {
  return info & 0xffff;
}
bool kind_flag_of(std::uint32_t info) {
  return (info >> 31) != 0;
}

// Bytes after the header of a type, or nothing for a kind that is newer than we are.
std::optional<std::uint32_t> trailing_bytes(std::uint32_t info) {
  const std::uint32_t vlen = vlen_of(info);
  switch (kind_of(info)) {
    case kInt:
    case kVar:
    case kDeclTag:
      return 4;
    case kArray:
      return 12;
    case kStruct:
    case kUnion:
    case kDatasec:
    case kEnum64:
      return vlen * 12;
    case kEnum:
    case kFuncProto:
      return vlen * 8;
    case kPtr:
    case kFwd:
    case kTypedef:
    case kVolatile:
    case kConst:
    case kRestrict:
    case kFunc:
    case kFloat:
    case kTypeTag:
      return 0;
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<Btf> Btf::parse(std::vector<std::byte> blob) {
  Btf btf(std::move(blob));
  const std::span<const std::byte> bytes = btf.blob_;
  const auto magic = load<std::uint16_t>(bytes, 0);
  if (magic != kMagic)
    return fail(Errc::guest_data_invalid, "BTF: magic is {:#x}, expected {:#x}", magic.value_or(0),
                kMagic);
  const auto field = [&](std::size_t at) {
    return std::uint64_t{load<std::uint32_t>(bytes, at).value_or(UINT32_MAX)};
  };
  const std::uint64_t header = field(4), type_off = field(8), type_len = field(12),
                      str_off = field(16), str_len = field(20);
  if (header + type_off + type_len > bytes.size() || header + str_off + str_len > bytes.size())
    return fail(Errc::guest_data_invalid,
                "BTF: its sections (types {}+{}, strings {}+{}) leave its {} bytes", type_off,
                type_len, str_off, str_len, bytes.size());
  btf.strings_ = bytes.subspan(header + str_off, str_len);
  const auto types = bytes.first(header + type_off + type_len);

  btf.types_.reserve(type_len / 40);
  btf.types_.push_back({});
  std::size_t at = header + type_off;
  while (at + kTypeHeader <= types.size()) {
    Type type{*load<std::uint32_t>(types, at), *load<std::uint32_t>(types, at + 4),
              *load<std::uint32_t>(types, at + 8), static_cast<std::uint32_t>(at + kTypeHeader)};
    const auto trailing = trailing_bytes(type.info);
    if (!trailing)
      return fail(Errc::guest_data_invalid, "BTF: type {} at byte {} has the unknown kind {}",
                  btf.types_.size(), at, kind_of(type.info));
    at += kTypeHeader + *trailing;
    if (at > types.size())
      return fail(Errc::guest_data_invalid, "BTF: type {} ends beyond the type section",
                  btf.types_.size());
    const auto id = static_cast<std::uint32_t>(btf.types_.size());
    btf.types_.push_back(type);
    if (kind_of(type.info) == kStruct || kind_of(type.info) == kUnion)
      if (const auto name = btf.name_at(type.name); !name.empty())
        btf.structs_.try_emplace(name, id);
  }
  return btf;
}

std::string_view Btf::name_at(std::uint32_t offset) const {
  if (offset >= strings_.size()) return {};
  const auto* text = reinterpret_cast<const char*>(strings_.data()) + offset;
  return {text, strnlen(text, std::min(strings_.size() - offset, kLongestName))};
}

const Btf::Type* Btf::resolved(std::uint32_t id) const {
  for (int depth = 0; depth < kDeepest && id != 0 && id < types_.size(); ++depth) {
    const Type& type = types_[id];
    switch (kind_of(type.info)) {
      case kTypedef:
      case kVolatile:
      case kConst:
      case kRestrict:
      case kTypeTag:
        id = type.size_or_type;
        break;
      default:
        return &type;
    }
  }
  return nullptr;
}

std::uint32_t Btf::size_of(std::uint32_t id, int depth) const {
  const Type* type = resolved(id);
  if (type == nullptr || depth > kDeepest) return 0;
  switch (kind_of(type->info)) {
    case kPtr:
      return 8;
    case kInt:
    case kStruct:
    case kUnion:
    case kEnum:
    case kEnum64:
    case kFloat:
      return type->size_or_type;
    case kArray:
      return load<std::uint32_t>(blob_, type->data + 8).value_or(0) *
             size_of(load<std::uint32_t>(blob_, type->data).value_or(0), depth + 1);
    default:
      return 0;
  }
}

std::optional<Btf::Member> Btf::find_in(const Type& type, std::string_view path, int depth,
                                        Budget& budget) const {
  if (depth > kDeepest || (kind_of(type.info) != kStruct && kind_of(type.info) != kUnion))
    return std::nullopt;
  const auto dot = path.find('.');
  const auto first = path.substr(0, dot);
  for (std::uint32_t i = 0; i < vlen_of(type.info); ++i) {
    if (!budget.spend("BTF members")) return std::nullopt;
    const std::size_t at = type.data + std::size_t{i} * kMemberSize;
    const auto name = name_at(load<std::uint32_t>(blob_, at).value_or(0));
    const std::uint32_t member_type = load<std::uint32_t>(blob_, at + 4).value_or(0);
    const std::uint32_t raw = load<std::uint32_t>(blob_, at + 8).value_or(0);
    // With kind_flag the upper byte is the size of a bit field.
    const std::uint32_t offset = (kind_flag_of(type.info) ? raw & 0xff'ffff : raw) / 8;
    if (name == first && dot == std::string_view::npos)
      return Member{offset, size_of(member_type, 0)};
    if (name != first && !name.empty()) continue;
    const Type* inner = resolved(member_type);
    if (inner == nullptr) continue;
    auto found = find_in(*inner, name.empty() ? path : path.substr(dot + 1), depth + 1, budget);
    if (found) return Member{offset + found->offset, found->size};
    if (!name.empty()) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Btf::Member> Btf::find_member(std::string_view type, std::string_view path) const {
  const auto found = structs_.find(type);
  if (found == structs_.end()) return std::nullopt;
  Budget budget(kMostMembers);
  return find_in(types_[found->second], path, 0, budget);
}

std::optional<std::uint32_t> Btf::find_size(std::string_view type) const {
  const auto found = structs_.find(type);
  if (found == structs_.end()) return std::nullopt;
  return types_[found->second].size_or_type;
}

}  // namespace xfilter::guest::kernel
