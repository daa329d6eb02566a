// SPDX-License-Identifier: Apache-2.0
// What a confined process cannot do. Each case runs in a child: a forbidden call kills it.
#include "engine/confinement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace xfilter::engine {
namespace {

constexpr int kRefusedToConfine = 90, kSurvived = 91;

// How a child ends that confines itself and then tries something.
int status_after(Confinement role, const std::function<void()>& attempt) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!confine(role)) ::_exit(kRefusedToConfine);
    attempt();
    ::_exit(kSurvived);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

testing::AssertionResult is_killed(Confinement role, const std::function<void()>& attempt) {
  const int status = status_after(role, attempt);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "ended with status " << status;
}

testing::AssertionResult survives(Confinement role, const std::function<void()>& attempt) {
  const int status = status_after(role, attempt);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSurvived) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "ended with status " << status;
}

long bpf(int command) {
  bpf_attr attributes{};
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

TEST(Confinement, an_agent_cannot_open_a_file) {
  EXPECT_TRUE(survives(Confinement::agent, [] {
    if (::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) >= 0) ::_exit(1);
  }));
  EXPECT_TRUE(is_killed(Confinement::agent, [] { ::syscall(SYS_open, "/etc/passwd", O_RDONLY); }));
}

TEST(Confinement, an_agent_cannot_make_a_socket_or_connect_one) {
  EXPECT_TRUE(
      is_killed(Confinement::agent, [] { ::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }));
  EXPECT_TRUE(is_killed(Confinement::agent, [] { ::syscall(SYS_connect, 0, nullptr, 0); }));
}

TEST(Confinement, an_agent_cannot_make_a_map_load_or_attach_a_program) {
  for (const int command : {BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_LINK_CREATE,
                            BPF_OBJ_GET, BPF_MAP_GET_FD_BY_ID, BPF_PROG_GET_FD_BY_ID})
    EXPECT_TRUE(is_killed(Confinement::agent, [command] { bpf(command); })) << command;
}

TEST(Confinement, an_agent_may_ask_for_elements_of_maps_it_holds) {
  EXPECT_TRUE(survives(Confinement::agent, [] { bpf(BPF_MAP_LOOKUP_ELEM); }));
}

TEST(Confinement, a_reader_may_not_even_do_that) {
  EXPECT_TRUE(is_killed(Confinement::reader, [] { bpf(BPF_MAP_LOOKUP_ELEM); }));
}

TEST(Confinement, nobody_can_start_a_process_trace_one_or_write_its_memory) {
  for (const auto role : {Confinement::reader, Confinement::agent}) {
    EXPECT_TRUE(is_killed(role, [] { ::syscall(SYS_fork); }));
    EXPECT_TRUE(is_killed(role, [] { ::syscall(SYS_execve, "/bin/true", nullptr, nullptr); }));
    EXPECT_TRUE(is_killed(role, [] { ::syscall(SYS_ptrace, 0, 0, 0, 0); }));
    EXPECT_TRUE(
        is_killed(role, [] { ::syscall(SYS_process_vm_writev, 1, nullptr, 0, nullptr, 0, 0); }));
  }
}

TEST(Confinement, memory_cannot_be_made_executable) {
  EXPECT_TRUE(is_killed(Confinement::agent, [] {
    (void)::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }));
}

}  // namespace
}  // namespace xfilter::engine
