// SPDX-License-Identifier: Apache-2.0
#include "engine/confinement.h"

#include <cap-ng.h>
#include <grp.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>

namespace xfilter::engine {
namespace {

constexpr uid_t kNobody = 65534;

// What the C++ runtime and a reader need: memory, time, its descriptors, its end.
constexpr int kReaderCalls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(ftruncate),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sched_yield),
};

// The agent's main loop. ioctl, socket, open and the like are missing on purpose.
constexpr int kAgentCalls[] = {
    SCMP_SYS(poll),    SCMP_SYS(ppoll),      SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg), SCMP_SYS(sendto),     SCMP_SYS(recvfrom),
    SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(memfd_create),
};

// Of bpf(2): elements of maps that we hold, nothing else.
constexpr int kAgentBpfCommands[] = {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM};

Result<void> refused(const char* step, int error) {
  return fail(Errc::host_refused, "cannot give up privileges: {}: {}", step, std::strerror(error));
}

Result<void> drop_privileges() {
  if (::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0) return refused("setgroups", errno);
    if (::setresgid(kNobody, kNobody, kNobody) != 0) return refused("setresgid", errno);
    if (::setresuid(kNobody, kNobody, kNobody) != 0) return refused("setresuid", errno);
  }
  capng_clear(CAPNG_SELECT_BOTH);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) return refused("capset", errno);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("no_new_privs", errno);
  // No core dumps and no ptrace by processes of the same user: guest memory is in here.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return refused("dumpable", errno);
  return {};
}

Result<void> install_filter(Confinement role) {
  using Context =
      std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, decltype(&seccomp_release)>;
  const Context context(seccomp_init(SCMP_ACT_KILL_PROCESS), &seccomp_release);
  if (!context) return refused("seccomp_init", ENOMEM);
  int failed = 0;
  for (const int call : kReaderCalls)
    failed |= seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, call, 0);
  // Memory, but never executable.
  failed |= seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             scmp_arg_cmp{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0});
  failed |= seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                             scmp_arg_cmp{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0});
  // isatty() when output starts; nothing else of ioctl.
  failed |= seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             scmp_arg_cmp{1, SCMP_CMP_EQ, 0x5401, 0});
  // Allocator and formatting library may look for these; "no" is an answer they can live with.
  for (const int call : {SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(prctl), SCMP_SYS(sysinfo)})
    failed |= seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
  if (role == Confinement::agent) {
    for (const int call : kAgentCalls)
      failed |= seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, call, 0);
    for (const int command : kAgentBpfCommands)
      failed |=
          seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
                           scmp_arg_cmp{0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(command), 0});
  }
  if (failed != 0) return refused("seccomp rules", EINVAL);
  const int loaded = seccomp_load(context.get());
  if (loaded != 0) return refused("seccomp", -loaded);
  return {};
}

}  // namespace

Result<void> confine(Confinement role) {
  XF_CHECK(drop_privileges());
  return install_filter(role);
}

}  // namespace xfilter::engine
