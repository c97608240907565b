// SPDX-License-Identifier: GPL-3.0-or-later
#include "push/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/resource.h"
#include "stream/socket.h"

// Every address as 16 bytes; IPv4 as ::ffff:a.b.c.d, so that both families compare alike.
struct host {
    uint8_t bytes[16];
    bool is_v4;
};

static bool host_of(const struct stream_address *address, struct host *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (address->address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
        memcpy(out->bytes, mapped, sizeof mapped);
        memcpy(out->bytes + 12, &v4->sin_addr, 4);
    } else if (address->address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
        memcpy(out->bytes, &v6->sin6_addr, 16);
    } else {
        return false;
    }
    out->is_v4 = memcmp(out->bytes, mapped, sizeof mapped) == 0;
    return true;
}

static void host_text(const struct host *host, char *out, size_t out_bytes)
{
    char text[INET6_ADDRSTRLEN];
    const void *bytes = host->is_v4 ? host->bytes + 12 : host->bytes;
    inet_ntop(host->is_v4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
    snprintf(out, out_bytes, host->is_v4 ? "%s" : "[%s]", text);
}

enum rm_err address_complete(const char *claimed, const struct stream_address *source, char *out,
                             size_t out_bytes)
{
    struct host host;
    char text[INET6_ADDRSTRLEN + 2];
    if (claimed == NULL || claimed[0] == '\0') {
        return RM_ERR_MALFORMED;
    }
    if (claimed[0] != ':') {
        snprintf(out, out_bytes, "%s", claimed);
    } else {
        if (source == NULL || !host_of(source, &host)) {
            return RM_ERR_MALFORMED;
        }
        host_text(&host, text, sizeof text);
        snprintf(out, out_bytes, "%s%s", text, claimed);
    }
    return mesh_address_check(out, false, NULL);
}

bool address_is_source(const char *address, const struct stream_address *source)
{
    struct stream_address parsed;
    struct host claimed;
    struct host from;
    return source != NULL && socket_address_parse(address, &parsed, NULL) == RM_OK &&
           host_of(&parsed, &claimed) && host_of(source, &from) &&
           memcmp(claimed.bytes, from.bytes, sizeof from.bytes) == 0;
}

// Splits "host/bits"; bits count in 128-bit terms.
static bool parse_range(const char *range, struct host *host, unsigned *bits)
{
    char text[INET6_ADDRSTRLEN];
    const char *slash = strchr(range, '/');
    if (slash == NULL || (size_t)(slash - range) >= sizeof text) {
        return false;
    }
    memcpy(text, range, (size_t)(slash - range));
    text[slash - range] = '\0';
    struct stream_address address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address.address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.address;
    unsigned most = 128;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        most = 32;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
    } else {
        return false;
    }
    char *end = NULL;
    unsigned long value = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end != '\0' || value > most || slash[1] == '+' || slash[1] == '-') {
        return false;
    }
    *bits = (unsigned)value + (128 - most);
    return host_of(&address, host);
}

bool address_is_in_range(const char *address, const char *range)
{
    struct stream_address parsed;
    struct host host;
    struct host net;
    unsigned bits = 0;
    if (socket_address_parse(address, &parsed, NULL) != RM_OK || !host_of(&parsed, &host) ||
        !parse_range(range, &net, &bits) || host.is_v4 != net.is_v4) {
        return false;
    }
    for (unsigned i = 0; i < bits; i++) {
        unsigned shift = 7 - i % 8;
        if (((host.bytes[i / 8] ^ net.bytes[i / 8]) >> shift & 1) != 0) {
            return false;
        }
    }
    return true;
}

enum rm_err address_range_check(const char *range, struct rm_error *error)
{
    struct host host;
    unsigned bits = 0;
    return parse_range(range, &host, &bits)
               ? RM_OK
               : rm_error_set(error, RM_ERR_MALFORMED,
                              "'%s' is not an address range such as 10.0.0.0/8", range);
}
