// SPDX-License-Identifier: Apache-2.0
// lab/guest/truth.c: prints what the guest says of itself, from /proc, for the tests to compare with.
//
//   P pid                 one block a process:
//   S <line>                lines of /proc/PID/status
//   T <line>                /proc/PID/stat
//   X <path>                /proc/PID/exe
//   C <hex>                 /proc/PID/cmdline
//   H tid                   each thread
//   F fd inode              each descriptor that is a socket
//   A <number>              /proc/PID/sessionid
//   G <path>                its cgroup
//   I kind inode            its namespaces: net, pid, uts, mnt
//   U <name>                host name in its UTS namespace
//   B <uuid>              the guest's boot id
//   N netns file <line>   lines of /proc/PID/net/{tcp,tcp6,udp,udp6,raw,raw6,icmp,icmp6,packet}, of each namespace once
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_lines(const char *path, const char *prefix) {
  char line[1024];
  FILE *file = fopen(path, "r");
  if (!file) return;
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    printf("%s %s\n", prefix, line);
  }
  fclose(file);
}

static void print_cmdline(const char *path) {
  int c;
  FILE *file = fopen(path, "r");
  if (!file) return;
  printf("C ");
  while ((c = fgetc(file)) != EOF) printf("%02x", c);
  printf("\n");
  fclose(file);
}

// A thread can have a descriptor table of its own.
static void print_thread(const char *pid, const char *tid) {
  char path[1024], target[256];
  struct dirent *entry;
  DIR *folder;

  printf("H %s\n", tid);
  snprintf(path, sizeof path, "/proc/%s/task/%s/fd", pid, tid);
  if (!(folder = opendir(path))) return;
  while ((entry = readdir(folder))) {
    unsigned long inode;
    ssize_t length;
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/%s/task/%s/fd/%s", pid, tid, entry->d_name);
    if ((length = readlink(path, target, sizeof target - 1)) <= 0) continue;
    target[length] = 0;
    if (sscanf(target, "socket:[%lu]", &inode) == 1) printf("F %s %lu\n", entry->d_name, inode);
  }
  closedir(folder);
}

static int own_uts;
static unsigned long known_nets[4096];
static unsigned known_net_count;

static unsigned long print_namespace(const char *pid, const char *kind) {
  char path[64], target[64];
  unsigned long inode = 0;
  ssize_t length;
  snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kind);
  if ((length = readlink(path, target, sizeof target - 1)) <= 0) return 0;
  target[length] = 0;
  sscanf(strchr(target, '['), "[%lu]", &inode);
  printf("I %s %lu\n", kind, inode);
  return inode;
}

static void print_host_name(const char *pid) {
  char path[64], name[256] = "";
  int fd;
  snprintf(path, sizeof path, "/proc/%s/ns/uts", pid);
  if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) return;
  if (setns(fd, CLONE_NEWUTS) == 0) {
    gethostname(name, sizeof name);
    printf("U %s\n", name);
    setns(own_uts, CLONE_NEWUTS);
  }
  close(fd);
}

static void print_sockets(const char *pid, unsigned long net) {
  static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "icmp6", "packet"};
  for (unsigned i = 0; i < known_net_count; ++i)
    if (known_nets[i] == net) return;
  if (known_net_count == sizeof known_nets / sizeof *known_nets) return;
  known_nets[known_net_count++] = net;
  for (unsigned i = 0; i < sizeof tables / sizeof *tables; ++i) {
    char path[64], prefix[64];
    snprintf(path, sizeof path, "/proc/%s/net/%s", pid, tables[i]);
    snprintf(prefix, sizeof prefix, "N %lu %s", net, tables[i]);
    print_lines(path, prefix);
  }
}

static void print_process(const char *pid) {
  char path[1024], target[4096];
  struct dirent *entry;
  ssize_t length;
  DIR *folder;

  printf("P %s\n", pid);
  snprintf(path, sizeof path, "/proc/%s/status", pid);
  print_lines(path, "S");
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  print_lines(path, "T");
  snprintf(path, sizeof path, "/proc/%s/exe", pid);
  if ((length = readlink(path, target, sizeof target - 1)) > 0) printf("X %.*s\n", (int)length, target);
  snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
  print_cmdline(path);
  snprintf(path, sizeof path, "/proc/%s/sessionid", pid);
  print_lines(path, "A");
  snprintf(path, sizeof path, "/proc/%s/cgroup", pid);
  print_lines(path, "G");
  print_namespace(pid, "pid");
  print_namespace(pid, "uts");
  print_namespace(pid, "mnt");
  print_host_name(pid);
  print_sockets(pid, print_namespace(pid, "net"));
  snprintf(path, sizeof path, "/proc/%s/task", pid);
  if (!(folder = opendir(path))) return;
  while ((entry = readdir(folder)))
    if (isdigit((unsigned char)entry->d_name[0])) print_thread(pid, entry->d_name);
  closedir(folder);
}

int main(void) {
  struct dirent *entry;
  DIR *proc = opendir("/proc");

  own_uts = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  print_lines("/proc/sys/kernel/random/boot_id", "B");
  while (proc && (entry = readdir(proc)))
    if (isdigit((unsigned char)entry->d_name[0])) print_process(entry->d_name);
  return 0;
}
