// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/hostile_guest.h: what the targets that read guest memory share.
//
// A target reads a real guest (tests/images), damaged as its input says. Random damage would hit
// memory that nobody reads, so a target is first run on the undamaged guest, the words that it
// reads are noted, and an input chooses among those: which words lie, how (docs/fuzzing.md has the
// list), and from which read on.
//
// To add a target: a file NAME_fuzz.cpp that defines kMostSteps and open_reader(), and its name in
// CMakeLists.txt.
#pragma once

#include <cstdint>
#include <memory>

#include "guest/linux/view.h"
#include "tests/fuzz/expect.h"

namespace xfilter::fuzz {

// One reader under test, on one guest.
class Reader {
 public:
  virtual ~Reader() = default;
  // How many things there are to read (tasks, sockets, ...).
  virtual std::size_t choices() const = 0;
  // Reads one of them. Stops the process when what it gets is more than it may be.
  virtual void read(std::size_t choice) = 0;
};

// Both are defined by the target. open_reader() sees the undamaged guest and finds there what it
// will read; all of it is borrowed for as long as the process lives.
std::unique_ptr<Reader> open_reader(guest::memory::GuestMemory& memory,
                                    const guest::linux::View& view);
// What one read() may cost, and why; see HostileRam::begin().
extern const std::uint64_t kMostSteps;

}  // namespace xfilter::fuzz
