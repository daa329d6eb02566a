// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/btf.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/support/btf_builder.h"

namespace xfilter::guest::kernel {
namespace {

using support::BtfBuilder;

// Makes structs of members of all sorts, and notes where each member must be found.
class AnyStruct {
 public:
  struct Expected {
    std::string path;
    Btf::Member place;
  };

  BtfBuilder::Id make(const std::string& name, std::size_t depth) {
    return make(name, depth, "", 0, true);
  }
  const std::vector<Expected>& expected() const { return expected_; }
  std::uint32_t size() const { return size_; }
  std::vector<std::byte> blob() const { return btf_.blob(); }

 private:
  BtfBuilder::Id make(const std::string& name, std::size_t depth, const std::string& prefix,
                      std::uint32_t base, bool is_outermost) {
    std::vector<BtfBuilder::Member> members;
    std::uint32_t at = 0;
    for (auto count = *rc::gen::inRange(1, 6); count > 0; --count) {
      at += *rc::gen::inRange(0u, 3u) * 4;
      const std::string member = "m" + std::to_string(next_++);
      const auto kind = *rc::gen::inRange(0, depth == 0 ? 3 : 5);
      std::uint32_t size = *rc::gen::element(1u, 2u, 4u, 8u);
      BtfBuilder::Id type = btf_.add_int(size);
      if (kind == 1) {
        type = btf_.add_pointer(type);
        size = 8;
      } else if (kind == 2) {
        const auto length = *rc::gen::inRange(1u, 20u);
        type = btf_.add_array(type, length);
        size *= length;
      } else if (kind >= 3) {  // an embedded struct, with or without a name
        const bool is_anonymous = kind == 4;
        const auto inner = is_anonymous ? prefix : prefix + member + ".";
        type = make("", depth - 1, inner, base + at, false);
        size = size_;
        members.push_back({is_anonymous ? "" : member, behind_typedefs(type), at});
        if (!is_anonymous) expected_.push_back({prefix + member, {base + at, size}});
        at += size;
        continue;
      }
      members.push_back({member, behind_typedefs(type), at});
      expected_.push_back({prefix + member, {base + at, size}});
      at += size;
    }
    size_ = at;
    return btf_.add_struct(is_outermost ? name : "", at, members);
  }
  BtfBuilder::Id behind_typedefs(BtfBuilder::Id type) {
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) type = btf_.add_typedef("t", type);
    return type;
  }

  BtfBuilder btf_;
  std::vector<Expected> expected_;
  std::uint32_t size_ = 0;  // of the struct made last
  int next_ = 0;
};

RC_GTEST_PROP(Btf, every_member_is_found_where_it_was_put, ()) {
  AnyStruct made;
  made.make("outer", *rc::gen::inRange<std::size_t>(0, 4));
  const auto btf = Btf::parse(made.blob());
  RC_ASSERT(btf.has_value());
  RC_ASSERT(btf->find_size("outer") == made.size());
  for (const auto& [path, place] : made.expected()) {
    const auto found = btf->find_member("outer", path);
    if (!found) RC_FAIL("not found: " + path);
    RC_ASSERT(found->offset == place.offset);
    RC_ASSERT(found->size == place.size);
  }
  RC_ASSERT(!btf->find_member("outer", "no_such_member"));
  RC_ASSERT(!btf->find_member("no_such_struct", "m0"));
}

RC_GTEST_PROP(Btf, a_blob_with_any_bytes_changed_is_read_within_bounds, ()) {
  AnyStruct made;
  made.make("outer", 2);
  auto blob = made.blob();
  for (int i = *rc::gen::inRange(1, 20); i > 0; --i)
    blob[*rc::gen::inRange<std::size_t>(0, blob.size())] =
        std::byte{*rc::gen::arbitrary<std::uint8_t>()};
  const auto btf = Btf::parse(std::move(blob));
  if (!btf) return;
  for (const auto& [path, place] : made.expected()) (void)btf->find_member("outer", path);
}

TEST(Btf, structs_in_structs_without_names_are_not_searched_for_ever) {
  BtfBuilder builder;
  auto inner = builder.add_int(4);
  for (int depth = 0; depth < 15; ++depth)
    inner = builder.add_struct(depth == 14 ? "outer" : "", 4,
                               std::vector<BtfBuilder::Member>(100, {"", inner, 0}));
  const auto btf = Btf::parse(builder.blob()).value();
  EXPECT_FALSE(btf.find_member("outer", "none"));
}

TEST(Btf, a_type_that_contains_itself_is_not_searched_for_ever) {
  BtfBuilder builder;
  builder.add_struct("outer", 4, {{"", 1, 0}, {"", 1, 0}});
  builder.add_typedef("loop", 2);
  const auto btf = Btf::parse(builder.blob()).value();
  EXPECT_FALSE(btf.find_member("outer", "none"));
}

}  // namespace
}  // namespace xfilter::guest::kernel
