// SPDX-License-Identifier: GPL-3.0-or-later
//
// A name server on loopback, in the loop under test. Knows a few names under ".test".
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"

#define DNS_HEADER_BYTES 12
#define DNS_TYPE_A 1
#define DNS_TYPE_AAAA 28

struct name_server {
    struct watch *watch; // on `descriptor`
    int descriptor;      // UDP
    char address[32];    // "127.0.0.1:port"
    unsigned questions;  // received
};

static size_t name_server_put(uint8_t *at, uint16_t type, const void *data, uint16_t length)
{
    const uint8_t head[12] = {
        0xc0, DNS_HEADER_BYTES,       (uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 0,
        60,   (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(at, head, sizeof(head));
    memcpy(at + sizeof(head), data, length);
    return sizeof(head) + length;
}

// Appends the answers for the first label; returns their count, or minus the DNS error code.
static int name_server_answer(const char *label, uint16_t type, uint8_t *at, size_t *length)
{
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
    int count = 0;
    if (strcmp(label, "both") == 0 && type == DNS_TYPE_AAAA) {
        *length += name_server_put(at, type, v6, sizeof(v6));
        return 1;
    }
    if (strcmp(label, "both") == 0 || strcmp(label, "many") == 0) {
        int wanted = type != DNS_TYPE_A ? 0 : label[0] == 'b' ? 2 : 70;
        for (; count < wanted; count++) {
            const uint8_t v4[4] = {192, 0, 2, (uint8_t)(count + 1)};
            size_t put = name_server_put(at, type, v4, sizeof(v4));
            at += put;
            *length += put;
        }
        return count;
    }
    return strcmp(label, "broken") == 0 ? -2 : -3;
}

static void name_server_on_ready(void *context, unsigned events, enum rm_err error)
{
    (void)events;
    (void)error;
    struct name_server *server = context;
    uint8_t packet[4096];
    char label[64] = "";
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    ssize_t received =
        recvfrom(server->descriptor, packet, 512, 0, (struct sockaddr *)&from, &from_length);
    if (received < DNS_HEADER_BYTES + 2) {
        return;
    }
    server->questions++;
    memcpy(label, packet + DNS_HEADER_BYTES + 1, packet[DNS_HEADER_BYTES] & 63);
    if (strcmp(label, "silent") == 0) {
        return;
    }
    size_t length = DNS_HEADER_BYTES;
    while (packet[length] != 0) {
        length += packet[length] + 1U;
    }
    uint16_t type = (uint16_t)(packet[length + 1] << 8 | packet[length + 2]);
    length += 5;
    memset(packet + 6, 0, 6);
    int count = name_server_answer(label, type, packet + length, &length);
    packet[2] = 0x81;
    packet[3] = (uint8_t)(0x80 | (count < 0 ? -count : 0));
    packet[7] = (uint8_t)(count > 0 ? count : 0);
    sendto(server->descriptor, packet, length, 0, (struct sockaddr *)&from, from_length);
}

static void name_server_open(struct name_server *server, struct loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    *server = (struct name_server){.descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    assert_int_equal(bind(server->descriptor, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(server->descriptor, (struct sockaddr *)&address, &length), 0);
    snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(
        watch_open(loop, server->descriptor, name_server_on_ready, server, &server->watch), RM_OK);
    watch_set(server->watch, WATCH_READ);
}

static void name_server_close(struct name_server *server)
{
    watch_close(server->watch);
    close(server->descriptor);
}
