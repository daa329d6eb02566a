// SPDX-License-Identifier: Apache-2.0
// tests/support/btf_builder.h: type information as the kernel's build makes it
// (Documentation/bpf/btf.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace xfilter::support {

class BtfBuilder {
 public:
  using Id = std::uint32_t;
  struct Member {
    std::string name;  // empty: anonymous
    Id type = 0;
    std::uint32_t offset = 0;  // in bytes
  };

  Id add_int(std::uint32_t size) {
    const Id id = add_type("int", 1, 0, size);
    word(size * 8);
    return id;
  }
  Id add_pointer(Id to) { return add_type("", 2, 0, to); }
  Id add_typedef(const std::string& name, Id of) { return add_type(name, 8, 0, of); }
  Id add_array(Id of, std::uint32_t count) {
    const Id id = add_type("", 3, 0, 0);
    word(of);
    word(of);
    word(count);
    return id;
  }
  Id add_struct(const std::string& name, std::uint32_t size, const std::vector<Member>& members) {
    const Id id = add_type(name, 4, static_cast<std::uint32_t>(members.size()), size);
    for (const Member& member : members) {
      word(string(member.name));
      word(member.type);
      word(member.offset * 8);
    }
    return id;
  }

  std::vector<std::byte> blob() const {
    BtfBuilder header;
    header.word(0x0001'eb9f);  // magic, version 1, no flags
    header.word(24);           // bytes of the header
    header.word(0);
    header.word(static_cast<std::uint32_t>(types_.size()));
    header.word(static_cast<std::uint32_t>(types_.size()));
    header.word(static_cast<std::uint32_t>(strings_.size()));
    std::vector<std::byte> all = header.types_;
    all.insert(all.end(), types_.begin(), types_.end());
    const auto* text = reinterpret_cast<const std::byte*>(strings_.data());
    all.insert(all.end(), text, text + strings_.size());
    return all;
  }

 private:
  void word(std::uint32_t value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    types_.insert(types_.end(), from, from + sizeof value);
  }
  std::uint32_t string(const std::string& text) {
    if (text.empty()) return 0;
    const auto [found, is_new] =
        offsets_.try_emplace(text, static_cast<std::uint32_t>(strings_.size()));
    if (is_new) strings_ += text + '\0';
    return found->second;
  }
  Id add_type(const std::string& name, std::uint32_t kind, std::uint32_t count,
              std::uint32_t size_or_type) {
    word(string(name));
    word(kind << 24 | count);
    word(size_or_type);
    return ++last_;
  }

  std::vector<std::byte> types_;
  std::string strings_ = std::string(1, '\0');
  std::map<std::string, std::uint32_t> offsets_;
  Id last_ = 0;
};

}  // namespace xfilter::support
