// SPDX-License-Identifier: Apache-2.0
// guest/linux/path.h: the path of an open file, as d_path() would give it.
//
// Walks dentries up to the root of the mount and on through the mounts it is mounted on, to the
// top: so the path is the one in the file's own mount namespace, whatever root directory a process
// has. Cost: two or three reads a component, which is a step of the budget.
#pragma once

#include <string>

#include "guest/linux/view.h"

namespace xfilter::guest::linux {

struct Path {
  std::string text;
  bool is_deleted = false;  // unlinked meanwhile, or never linked (memfd)
};

// `path` is the address of a struct path.
Result<Path> read_path(const View& view, VirtAddr path, Budget& budget);

}  // namespace xfilter::guest::linux
