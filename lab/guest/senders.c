// SPDX-License-Identifier: Apache-2.0
// lab/guest/senders.c: sends packets that say who sends them.
//
//   senders OWN4 SERVER4 SERVER6 SECONDS PAUSE KIND...
//
// One process (or more, as the kind has it) a KIND sends for SECONDS, with PAUSE microseconds between packets. Each
// packet's payload starts with "xft1 KIND PID[,PID...] ": all the processes that hold the socket at that moment, by
// their pids in the guest's first pid namespace (in a container, /hostproc is the proc file system of that one, and
// KIND is "container-KIND").
// TCP goes to port 7001, datagrams to port 9001. What is forged comes from OWN4.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Sockets stay open for a moment after their last packet, as they do in life; what closes at once is `short`.
enum { TCP_PORT = 7001, UDP_PORT = 9001, MESSAGES_PER_SOCKET = 40, BEFORE_CLOSE_US = 250000 };

static const char *server4, *server6, *kind;
static useconds_t pause_us;
static time_t end;

static int goes_on(void) { return time(NULL) < end; }

static int own_pid(void) {
  char target[32];
  ssize_t length = readlink("/hostproc/self", target, sizeof target - 1);
  if (length <= 0) return getpid();
  target[length] = 0;
  return atoi(target);
}

static int message(char *text, size_t size, int first, int second) {
  const char *where = access("/hostproc", F_OK) == 0 ? "container-" : "";
  if (second) return snprintf(text, size, "xft1 %s%s %d,%d ", where, kind, first, second);
  return snprintf(text, size, "xft1 %s%s %d ", where, kind, first);
}

static socklen_t server(int family, int port, int is_mapped, struct sockaddr_storage *address) {
  memset(address, 0, sizeof *address);
  address->ss_family = (sa_family_t)family;
  if (family == AF_INET) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    v4->sin_port = htons(port);
    inet_pton(AF_INET, server4, &v4->sin_addr);
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
  char mapped[64];
  snprintf(mapped, sizeof mapped, "::ffff:%s", server4);
  v6->sin6_port = htons(port);
  inet_pton(AF_INET6, is_mapped ? mapped : server6, &v6->sin6_addr);
  return sizeof *v6;
}

static int connected(int family, int type, int is_mapped) {
  struct sockaddr_storage address;
  socklen_t size = server(family, type == SOCK_STREAM ? TCP_PORT : UDP_PORT, is_mapped, &address);
  int fd = socket(family, type, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) != 0) {
    if (fd >= 0) close(fd);
    return -1;
  }
  return fd;
}

// Sends from `fd` for a while.
static void send_some(int fd, int first, int second) {
  char text[128];
  int size = message(text, sizeof text, first, second);
  for (int i = 0; i < MESSAGES_PER_SOCKET && goes_on(); ++i) {
    if (send(fd, text, (size_t)size, MSG_NOSIGNAL) < 0 && errno != ECONNREFUSED) return;
    usleep(pause_us);
  }
  usleep(BEFORE_CLOSE_US);
}

static void connections(int family, int type, int is_mapped) {
  while (goes_on()) {
    int fd = connected(family, type, is_mapped);
    if (fd >= 0) {
      send_some(fd, own_pid(), 0);
      close(fd);
    }
    usleep(pause_us);
  }
}

static void to_anybody(int family, int shares_port) {
  struct sockaddr_storage address;
  socklen_t size = server(family, UDP_PORT, 0, &address);
  char text[128];
  int length = message(text, sizeof text, own_pid(), 0);
  while (goes_on()) {
    int one = 1, fd = socket(family, SOCK_DGRAM, 0);
    if (shares_port) {
      struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(5300)};
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
      if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0) return;
      usleep(500000);  // until all are there
    }
    for (int i = 0; (shares_port || i < MESSAGES_PER_SOCKET) && goes_on(); ++i) {
      sendto(fd, text, (size_t)length, 0, (struct sockaddr *)&address, size);
      usleep(pause_us);
    }
    usleep(shares_port ? 500000 : BEFORE_CLOSE_US);
    close(fd);
  }
}

// Connected to somebody, and yet it sends to another.
static void sidelong(void) {
  struct sockaddr_storage peer, address;
  socklen_t size = server(AF_INET, UDP_PORT + 1, 0, &peer);
  char text[128];
  int length = message(text, sizeof text, own_pid(), 0);
  server(AF_INET, UDP_PORT, 0, &address);
  while (goes_on()) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    connect(fd, (struct sockaddr *)&peer, size);
    for (int i = 0; i < MESSAGES_PER_SOCKET && goes_on(); ++i) {
      sendto(fd, text, (size_t)length, 0, (struct sockaddr *)&address, size);
      usleep(pause_us);
    }
    usleep(BEFORE_CLOSE_US);
    close(fd);
  }
}

static void share_port(void) {
  for (int i = 0; i < 2; ++i)
    if (fork() == 0) break;
  to_anybody(AF_INET, 1);
}

static void share_by_fork(void) {
  while (goes_on()) {
    int fd = connected(AF_INET, SOCK_DGRAM, 0);
    pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      pause();
    }
    send_some(fd, own_pid(), child);
    close(fd);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
  }
}

static void receive_and_send(int channel) {
  char byte, control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {&byte, 1};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  while (recvmsg(channel, &header, 0) > 0) {
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof fd);
    if (read(channel, &byte, 1) <= 0) return;  // the giver has closed it
    send_some(fd, own_pid(), 0);
    close(fd);
    if (write(channel, &byte, 1) <= 0) return;
    header.msg_controllen = sizeof control;
  }
}

static void pass_on(void) {
  int channel[2];
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0) return;
  if (fork() == 0) {
    close(channel[0]);
    receive_and_send(channel[1]);
    return;
  }
  close(channel[1]);
  while (goes_on()) {
    int fd = connected(AF_INET, SOCK_DGRAM, 0);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    sendmsg(channel[0], &header, 0);
    close(fd);
    if (write(channel[0], &byte, 1) <= 0 || read(channel[0], &byte, 1) <= 0) return;
  }
}

// Datagrams of three fragments, each of which says who sends it.
static void large_datagrams(void) {
  static char text[4000];
  char claim[128];
  int length = message(claim, sizeof claim, own_pid(), 0);
  for (size_t at = 0; at + (size_t)length < sizeof text; at += (size_t)length) memcpy(text + at, claim, (size_t)length);
  while (goes_on()) {
    int fd = connected(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < MESSAGES_PER_SOCKET && goes_on(); ++i) {
      if (send(fd, text, sizeof text, 0) < 0) perror("send");
      usleep(pause_us);
    }
    usleep(BEFORE_CLOSE_US);
    close(fd);
  }
}

// What exec() keeps: the descriptor; the program starts anew with it, sends, and does it again.
static void exec_with(int fd) {
  char number[16], until[32], pause_text[16];
  snprintf(number, sizeof number, "%d", fd);
  snprintf(until, sizeof until, "%ld", (long)end);
  snprintf(pause_text, sizeof pause_text, "%u", (unsigned)pause_us);
  execl("/proc/self/exe", "senders", "--executed", server4, server6, until, pause_text, number, (char *)NULL);
}

static void *send_from_own_table(void *unused) {
  if (unshare(CLONE_FILES) == 0) connections(AF_INET, SOCK_DGRAM, 0);
  return unused;
}

static void thread_with_own_table(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, send_from_own_table, NULL);
  pthread_join(thread, NULL);
}

static void ping(int family) {
  struct sockaddr_storage address;
  socklen_t size = server(family, 0, 0, &address);
  char packet[160] = {(char)(family == AF_INET ? ICMP_ECHO : 128)};
  int length = 8 + message(packet + 8, sizeof packet - 8, own_pid(), 0);
  while (goes_on()) {
    int fd = socket(family, SOCK_DGRAM, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    for (int i = 0; i < MESSAGES_PER_SOCKET && goes_on(); ++i) {
      sendto(fd, packet, (size_t)length, 0, (struct sockaddr *)&address, size);
      usleep(pause_us);
    }
    usleep(BEFORE_CLOSE_US);
    close(fd);
  }
}

// A process a message, gone as soon as it has sent.
static void short_lived(int type) {
  while (goes_on()) {
    pid_t child = fork();
    if (child == 0) {
      char text[128];
      int size = message(text, sizeof text, own_pid(), 0), fd = connected(AF_INET, type, 0);
      if (fd >= 0) send(fd, text, (size_t)size, MSG_NOSIGNAL);
      _exit(0);
    }
    waitpid(child, NULL, 0);
    usleep(pause_us);
  }
}

static unsigned short checksum(const void *data, size_t size) {
  const unsigned char *bytes = data;
  unsigned sum = 0;
  for (size_t i = 0; i + 1 < size; i += 2) sum += (unsigned)(bytes[i] << 8 | bytes[i + 1]);
  if (size % 2) sum += (unsigned)(bytes[size - 1] << 8);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons((unsigned short)~sum);
}

static void raw_icmp(void) {
  struct sockaddr_storage address;
  socklen_t size = server(AF_INET, 0, 0, &address);
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  char packet[160] = {ICMP_ECHO};
  int length = 8 + message(packet + 8, sizeof packet - 8, own_pid(), 0);
  unsigned short sum;
  packet[4] = 0x7a;
  sum = checksum(packet, (size_t)length);
  memcpy(packet + 2, &sum, sizeof sum);
  for (; goes_on(); usleep(pause_us)) sendto(fd, packet, (size_t)length, 0, (struct sockaddr *)&address, size);
}

// An IPv4 datagram with a UDP header, written by hand, from a port that no socket has.
static size_t forged(unsigned char *packet, size_t most, const char *source) {
  struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
  struct udphdr udp = {.source = htons((unsigned short)(30000 + rand() % 1000)), .dest = htons(UDP_PORT)};
  size_t headers = sizeof ip + sizeof udp, size = headers + (size_t)message((char *)packet + headers, most - headers, own_pid(), 0);
  ip.tot_len = htons((unsigned short)size);
  inet_pton(AF_INET, source, &ip.saddr);
  inet_pton(AF_INET, server4, &ip.daddr);
  ip.check = checksum(&ip, sizeof ip);
  udp.len = htons((unsigned short)(size - sizeof ip));
  memcpy(packet, &ip, sizeof ip);
  memcpy(packet + sizeof ip, &udp, sizeof udp);
  return size;
}

static void raw_udp(const char *source) {
  struct sockaddr_storage address;
  socklen_t size = server(AF_INET, 0, 0, &address);
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  unsigned char packet[256];
  for (; goes_on(); usleep(pause_us))
    sendto(fd, packet, forged(packet, sizeof packet, source), 0, (struct sockaddr *)&address, size);
}

static void packet_udp(const char *source) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = 6};
  int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
  unsigned char packet[256];
  address.sll_ifindex = (int)if_nametoindex("eth0");
  memset(address.sll_addr, 0xff, 6);
  for (; goes_on(); usleep(pause_us))
    sendto(fd, packet, forged(packet, sizeof packet, source), 0, (struct sockaddr *)&address, sizeof address);
}

static void run(const char *own4) {
  if (!strcmp(kind, "tcp4")) connections(AF_INET, SOCK_STREAM, 0);
  if (!strcmp(kind, "tcp6")) connections(AF_INET6, SOCK_STREAM, 0);
  if (!strcmp(kind, "tcp-mapped")) connections(AF_INET6, SOCK_STREAM, 1);
  if (!strcmp(kind, "udp4")) connections(AF_INET, SOCK_DGRAM, 0);
  if (!strcmp(kind, "udp6")) connections(AF_INET6, SOCK_DGRAM, 0);
  if (!strcmp(kind, "udp-mapped")) connections(AF_INET6, SOCK_DGRAM, 1);
  if (!strcmp(kind, "any4")) to_anybody(AF_INET, 0);
  if (!strcmp(kind, "any6")) to_anybody(AF_INET6, 0);
  if (!strcmp(kind, "sidelong")) sidelong();
  if (!strcmp(kind, "reuseport")) share_port();
  if (!strcmp(kind, "forked")) share_by_fork();
  if (!strcmp(kind, "passed")) pass_on();
  if (!strcmp(kind, "fragments")) large_datagrams();
  if (!strcmp(kind, "executed")) exec_with(connected(AF_INET, SOCK_DGRAM, 0));
  if (!strcmp(kind, "thread")) thread_with_own_table();
  if (!strcmp(kind, "ping4")) ping(AF_INET);
  if (!strcmp(kind, "ping6")) ping(AF_INET6);
  if (!strcmp(kind, "short")) short_lived(SOCK_DGRAM);
  if (!strcmp(kind, "churn")) short_lived(SOCK_STREAM);
  if (!strcmp(kind, "raw-icmp")) raw_icmp();
  if (!strcmp(kind, "raw-udp")) raw_udp(own4);
  if (!strcmp(kind, "packet-udp")) packet_udp(own4);
}

int main(int argc, char **argv) {
  if (argc == 7 && !strcmp(argv[1], "--executed")) {
    int fd = atoi(argv[6]);
    kind = "executed";
    server4 = argv[2];
    server6 = argv[3];
    end = atol(argv[4]);
    pause_us = (useconds_t)atoi(argv[5]);
    send_some(fd, own_pid(), 0);
    if (goes_on()) exec_with(fd);
    return 0;
  }
  if (argc < 7) return 2;
  const char *own4 = argv[1];
  server4 = argv[2];
  server6 = argv[3];
  end = time(NULL) + atoi(argv[4]);
  pause_us = (useconds_t)atoi(argv[5]);
  for (int i = 6; i < argc; ++i)
    if (fork() == 0) {
      kind = argv[i];
      srand((unsigned)getpid());
      run(own4);
      return 0;
    }
  while (wait(NULL) > 0) {
  }
  return 0;
}
