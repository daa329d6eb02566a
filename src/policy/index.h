// SPDX-License-Identifier: Apache-2.0
// policy/index.h: which rules can fit at all? Ten thousand learned rules shall cost what ten do.
//
// Each rule is kept under one of its matches that names single values: a pid, a program's path, a
// uid, a port. Which one: that which fewest rules share. A subject is looked up by what it has of
// each, and the rules found, with those that name no single value, come out in their order.
// Threads: any; an Index never changes. Lifetime: positions in the rules it was made of.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include "policy/rule.h"

namespace xfilter::policy {

class Index {
 public:
  explicit Index(const std::vector<Rule>& rules);

  // The rules that can fit a subject, first to last.
  class Candidates {
   public:
    // Both are borrowed.
    Candidates(const Index& index, const Subject& subject);
    Candidates(const Candidates&) = delete;
    Candidates& operator=(const Candidates&) = delete;

    std::optional<std::size_t> next();

   private:
    void add(std::span<const std::uint32_t> list);

    // Room for what an owner of a few processes finds; beyond it comes from the heap.
    std::byte room_[1024];
    std::pmr::monotonic_buffer_resource memory_{room_, sizeof room_};
    std::pmr::vector<std::span<const std::uint32_t>> lists_{&memory_};
  };

 private:
  struct Slot {
    std::uint64_t key = 0;               // 0: free
    std::uint32_t first = 0, count = 0;  // in positions_
  };
  std::span<const std::uint32_t> find(std::uint64_t key) const;

  std::vector<Slot> slots_;               // open addressing; a power of two, half of it free
  std::vector<std::uint32_t> positions_;  // of rules, grouped by key, ascending
  std::vector<std::uint32_t> others_;     // rules that name no single value
  struct Used {
    const Field* field;
    std::uint64_t family;
  };
  std::vector<Used> used_;  // what some rule is kept under
};

}  // namespace xfilter::policy
