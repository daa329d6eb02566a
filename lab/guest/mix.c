// SPDX-License-Identifier: Apache-2.0
// lab/guest/mix.c: a process with one of everything that the views must show: listeners, connections and
// datagram sockets of both families, v4-mapped ones, a socket shared with a child, a thread with a
// descriptor table of its own; as root also raw, packet and ping sockets, and processes in namespaces of
// their own, of another user, and without a program file. Prints "ready" and sleeps.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int ok, const char *what) {
  if (!ok) {
    perror(what);
    exit(1);
  }
}

static void write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0) perror(path);
  close(fd);
}

static int bound(int family, int type, int port, struct sockaddr_storage *address, socklen_t *size) {
  int one = 1, fd = socket(family, type, 0);
  must(fd >= 0, "socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  memset(address, 0, sizeof *address);
  address->ss_family = family;
  if (family == AF_INET) {
    ((struct sockaddr_in *)address)->sin_port = htons(port);
    ((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *size = sizeof(struct sockaddr_in);
  } else {
    ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    ((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
    *size = sizeof(struct sockaddr_in6);
  }
  must(bind(fd, (struct sockaddr *)address, *size) == 0, "bind");
  must(getsockname(fd, (struct sockaddr *)address, size) == 0, "getsockname");
  return fd;
}

// A listener, a connection to it and its accepted end; `close_first` leaves a TIME_WAIT behind.
static void connection(int family, int close_first) {
  struct sockaddr_storage address;
  socklen_t size;
  int client, accepted, listener = bound(family, SOCK_STREAM, 0, &address, &size);
  must(listen(listener, 5) == 0, "listen");
  client = socket(family, SOCK_STREAM, 0);
  must(connect(client, (struct sockaddr *)&address, size) == 0, "connect");
  accepted = accept(listener, NULL, NULL);
  must(accepted >= 0, "accept");
  if (close_first) {
    close(client);
    close(accepted);
  }
}

static void v4_mapped(void) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6}, mapped = {.sin6_family = AF_INET6};
  socklen_t size = sizeof any;
  int client, listener = socket(AF_INET6, SOCK_STREAM, 0);
  must(bind(listener, (struct sockaddr *)&any, size) == 0 && listen(listener, 5) == 0, "v4-mapped listener");
  getsockname(listener, (struct sockaddr *)&any, &size);
  inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
  mapped.sin6_port = any.sin6_port;
  client = socket(AF_INET6, SOCK_STREAM, 0);
  must(connect(client, (struct sockaddr *)&mapped, sizeof mapped) == 0, "v4-mapped connect");
  must(accept(listener, NULL, NULL) >= 0, "v4-mapped accept");
}

static void datagrams(int family) {
  struct sockaddr_storage address, peer;
  socklen_t size;
  int connected;
  bound(family, SOCK_DGRAM, 0, &peer, &size);
  connected = bound(family, SOCK_DGRAM, 0, &address, &size);
  must(connect(connected, (struct sockaddr *)&peer, size) == 0, "udp connect");
}

static void *thread_with_own_table(void *unused) {
  struct sockaddr_storage address;
  socklen_t size;
  prctl(PR_SET_NAME, "own-table");
  must(unshare(CLONE_FILES) == 0, "unshare");
  bound(AF_INET, SOCK_DGRAM, 0, &address, &size);
  pause();
  return unused;
}

// What only root can have: sockets that send anything, and namespaces.
static void raw_sockets(void) {
  must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0, "raw ICMP");
  must(socket(AF_INET, SOCK_RAW, IPPROTO_RAW) >= 0, "raw");
  must(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) >= 0, "raw ICMPv6");
  must(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP)) >= 0, "packet");
  must(socket(AF_PACKET, SOCK_DGRAM, 0) >= 0, "packet, silent");
}

static void ping_sockets(void) {
  struct sockaddr_in v4 = {.sin_family = AF_INET};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
  int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  must(fd >= 0 && bind(fd, (struct sockaddr *)&v4, sizeof v4) == 0, "ping");
  fd = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
  must(fd >= 0 && bind(fd, (struct sockaddr *)&v6, sizeof v6) == 0, "ping6");
}

static void in_own_namespaces(void) {
  if (fork() != 0) return;
  must(unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWPID) == 0, "unshare namespaces");
  must(sethostname("of-its-own", 10) == 0, "sethostname");
  if (fork() == 0) {  // the first of the pid namespace
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    must(bind(fd, (struct sockaddr *)&any, sizeof any) == 0, "bind in namespace");
    raw_sockets();
    setsid();
  }
  pause();
}

static void as_somebody_else(void) {
  if (fork() != 0) return;
  write_file("/proc/self/loginuid", "1000");  // where the audit system is: a login session
  must(setresgid(1001, 1002, 1003) == 0 && setresuid(1001, 1002, 1003) == 0, "setresuid");
  pause();
}

// Programs that are not where they were: unlinked, and never linked.
static void without_a_file(void) {
  char program[1 << 16];
  ssize_t size;
  int from = open("/proc/self/exe", O_RDONLY), gone = open("/tmp/gone", O_WRONLY | O_CREAT | O_TRUNC, 0755);
  int memory = memfd_create("in memory", 0);
  while ((size = read(from, program, sizeof program)) > 0)
    must(write(gone, program, (size_t)size) == size && write(memory, program, (size_t)size) == size, "copy");
  close(gone);
  if (fork() == 0) execl("/tmp/gone", "gone", "--pause", (char *)NULL);
  if (fork() == 0) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    execl(path, "memory", "--pause", (char *)NULL);
  }
  usleep(300000);
  unlink("/tmp/gone");
}

int main(int argc, char **argv) {
  struct sockaddr_storage address;
  socklen_t size;
  pthread_t thread;

  if (argc > 1 && !strcmp(argv[1], "--pause")) return pause();
  if (geteuid() == 0) {
    ping_sockets();
    raw_sockets();
    in_own_namespaces();
    as_somebody_else();
    without_a_file();
  }
  connection(AF_INET, 0);
  connection(AF_INET6, 0);
  connection(AF_INET, 1);
  connection(AF_INET6, 1);
  v4_mapped();
  datagrams(AF_INET);
  datagrams(AF_INET6);
  bound(AF_INET, SOCK_DGRAM, 0, &address, &size);
  if (fork() == 0) {  // shares all of the above
    prctl(PR_SET_NAME, "a (bad) name");
    pause();
  }
  must(pthread_create(&thread, NULL, thread_with_own_table, NULL) == 0, "thread");
  usleep(200000);
  printf("ready\n");
  fflush(stdout);
  pause();
}
