// SPDX-License-Identifier: Apache-2.0
// lab/guest/framer.c: sends packets as if somebody else's socket had.
//
//   framer sniff tcp|udp PORT            prints the numbers of a packet with data from this port: ID SEQUENCE ACKNOWLEDGEMENT
//   framer raw|packet tcp|udp COUNT OWN4 PORT SERVER4 PORT ID SEQUENCE ACKNOWLEDGEMENT [once]
//
// By a raw socket whose headers it writes itself, or a packet socket. Each packet's payload is "xft1 framed PID ". With
// `once` each packet has a socket of its own, that is closed as soon as it is sent.
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int sniff(int protocol, int port) {
  unsigned char packet[2048];
  int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));  // only those for all see what is sent
  while (recv(fd, packet, sizeof packet, 0) > 0) {
    struct iphdr *ip = (struct iphdr *)packet;
    struct tcphdr *tcp = (struct tcphdr *)(packet + ip->ihl * 4);  // the source port is at the same place in UDP
    if (ip->version != 4 || ip->protocol != protocol || ntohs(tcp->source) != port) continue;
    if (protocol == IPPROTO_TCP && !tcp->psh) continue;
    printf("%u %u %u\n", ntohs(ip->id), protocol == IPPROTO_TCP ? ntohl(tcp->seq) : 0, protocol == IPPROTO_TCP ? ntohl(tcp->ack_seq) : 0);
    return 0;
  }
  return 1;
}

static unsigned sum_of(const void *data, size_t size) {
  const unsigned char *bytes = data;
  unsigned sum = 0;
  for (size_t i = 0; i < size; ++i) sum += (unsigned)bytes[i] << (i % 2 ? 0 : 8);
  return sum;
}

static unsigned short checksum(unsigned sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons((unsigned short)~sum);
}

// argv: PROTOCOL COUNT OWN4 PORT SERVER4 PORT ID SEQUENCE ACKNOWLEDGEMENT
static size_t forge(unsigned char *packet, char **argv) {
  int is_tcp = !strcmp(argv[0], "tcp");
  struct iphdr *ip = (struct iphdr *)packet;
  struct tcphdr *tcp = (struct tcphdr *)(ip + 1);
  struct udphdr *udp = (struct udphdr *)(ip + 1);
  size_t headers = sizeof *ip + (is_tcp ? sizeof *tcp : sizeof *udp);
  size_t size = headers + (size_t)sprintf((char *)packet + headers, "xft1 framed %d ", getpid()), segment = size - sizeof *ip;
  *ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = is_tcp ? IPPROTO_TCP : IPPROTO_UDP};
  ip->id = htons((unsigned short)atoi(argv[6]));
  ip->tot_len = htons((unsigned short)size);
  inet_pton(AF_INET, argv[2], &ip->saddr);
  inet_pton(AF_INET, argv[4], &ip->daddr);
  ip->check = checksum(sum_of(ip, sizeof *ip));
  unsigned pseudo = sum_of(&ip->saddr, 8) + ip->protocol + (unsigned)segment;
  unsigned short from = htons((unsigned short)atoi(argv[3])), to = htons((unsigned short)atoi(argv[5]));
  if (is_tcp) {
    *tcp = (struct tcphdr){.source = from, .dest = to, .doff = 5, .ack = 1, .psh = 1, .window = htons(500)};
    tcp->seq = htonl((unsigned)strtoul(argv[7], NULL, 10));
    tcp->ack_seq = htonl((unsigned)strtoul(argv[8], NULL, 10));
    tcp->check = checksum(pseudo + sum_of(tcp, segment));
  } else {
    *udp = (struct udphdr){.source = from, .dest = to, .len = htons((unsigned short)segment)};
    udp->check = checksum(pseudo + sum_of(udp, segment));
  }
  return size;
}

int main(int argc, char **argv) {
  if (argc == 4) return sniff(strcmp(argv[2], "tcp") ? IPPROTO_UDP : IPPROTO_TCP, atoi(argv[3]));
  if (argc < 11) return 2;
  int is_raw = !strcmp(argv[1], "raw"), is_once = argc == 12, fd = -1;
  unsigned char packet[256] = {0};
  size_t size = forge(packet, argv + 2);
  struct sockaddr_in peer = {.sin_family = AF_INET};
  struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = 6};
  link.sll_ifindex = (int)if_nametoindex("eth0");
  memset(link.sll_addr, 0xff, 6);
  inet_pton(AF_INET, argv[6], &peer.sin_addr);
  const void *address = is_raw ? (void *)&peer : &link;
  socklen_t address_size = is_raw ? sizeof peer : sizeof link;

  for (int i = 0; i < atoi(argv[3]); ++i, usleep(10000)) {
    if (fd < 0) fd = is_raw ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) : socket(AF_PACKET, SOCK_DGRAM, 0);
    if (sendto(fd, packet, size, 0, address, address_size) < 0) return 1;
    if (!is_once) continue;
    close(fd);
    fd = -1;
  }
  return 0;
}
