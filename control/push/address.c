// SPDX-License-Identifier: GPL-3.0-or-later
#include "push/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/resource.h"
#include "records/address_range.h"
#include "stream/socket.h"

// Every address as 16 bytes; IPv4 as ::ffff:a.b.c.d, so that both families compare alike.
struct host {
    _Alignas(struct in6_addr) uint8_t bytes[16];
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

static bool port_is_own(unsigned port)
{
    static const unsigned own[] = {15001, 15006, 15020, 15021};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (port == own[i]) {
            return true;
        }
    }
    return false;
}

static enum rm_err claimed_host(const char *claimed, const struct stream_address *source,
                                struct host *out, struct rm_error *error)
{
    struct stream_address parsed;
    if (claimed[0] != ':') {
        RM_TRY(socket_address_parse(claimed, &parsed, error));
        source = &parsed;
    }
    if (source == NULL || !host_of(source, out)) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the tunnel address names no host, and the connection has none");
    }
    return RM_OK;
}

enum rm_err address_complete(const char *claimed, const struct stream_address *source, char *out,
                             size_t out_bytes, struct rm_error *error)
{
    struct host host;
    char text[INET6_ADDRSTRLEN];
    if (claimed == NULL || claimed[0] == '\0') {
        return rm_error_set(error, RM_ERR_MALFORMED, "the tunnel address is missing");
    }
    RM_TRY(mesh_address_check(claimed, true, error));
    RM_TRY(claimed_host(claimed, source, &host, error));
    const char *port = strrchr(claimed, ':') + 1;
    if (port_is_own((unsigned)strtoul(port, NULL, 10))) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "port %s is Remora's own and carries no tunnels", port);
    }
    // One spelling: an IPv4 address in IPv6 clothes is an IPv4 address.
    host_text(&host, text);
    snprintf(out, out_bytes, host.is_v4 ? "%s:%s" : "[%s]:%s", text, port);
    return mesh_address_check(out, false, error);
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

// Loopback and link-local addresses mean another host to everybody else.
static bool is_local(const struct host *host)
{
    const uint8_t *v4 = host->bytes + 12;
    if (host->is_v4) {
        return v4[0] == 127 || (v4[0] == 169 && v4[1] == 254);
    }
    const struct in6_addr *v6 = (const struct in6_addr *)(const void *)host->bytes;
    return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_LINKLOCAL(v6);
}

bool address_is_in_range(const char *address, const struct stream_address *source,
                         const char *range)
{
    struct stream_address parsed;
    struct host host;
    struct host from;
    char text[INET6_ADDRSTRLEN];
    if (socket_address_parse(address, &parsed, NULL) != RM_OK || !host_of(&parsed, &host)) {
        return false;
    }
    if (is_local(&host) && (source == NULL || !host_of(source, &from) || !is_local(&from))) {
        return false;
    }
    host_text(&host, text);
    return address_range_contains(range, text);
}
