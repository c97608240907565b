// SPDX-License-Identifier: GPL-3.0-or-later
#include "push/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "mesh/resource.h"
#include "records/address_range.h"
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

// Without brackets.
static void host_text(const struct host *host, char out[INET6_ADDRSTRLEN])
{
    const void *bytes = host->is_v4 ? host->bytes + 12 : host->bytes;
    inet_ntop(host->is_v4 ? AF_INET : AF_INET6, bytes, out, INET6_ADDRSTRLEN);
}

enum rm_err address_complete(const char *claimed, const struct stream_address *source, char *out,
                             size_t out_bytes)
{
    struct host host;
    char text[INET6_ADDRSTRLEN];
    if (claimed == NULL || claimed[0] == '\0') {
        return RM_ERR_MALFORMED;
    }
    if (claimed[0] != ':') {
        snprintf(out, out_bytes, "%s", claimed);
    } else {
        if (source == NULL || !host_of(source, &host)) {
            return RM_ERR_MALFORMED;
        }
        host_text(&host, text);
        snprintf(out, out_bytes, host.is_v4 ? "%s%s" : "[%s]%s", text, claimed);
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

bool address_is_in_range(const char *address, const char *range)
{
    struct stream_address parsed;
    struct host host;
    char text[INET6_ADDRSTRLEN];
    if (socket_address_parse(address, &parsed, NULL) != RM_OK || !host_of(&parsed, &host)) {
        return false;
    }
    host_text(&host, text);
    return address_range_contains(range, text);
}
