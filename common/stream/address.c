// SPDX-License-Identifier: GPL-3.0-or-later
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "stream/socket.h"
#include "stream/socket_internal.h"

#define UNIX_PREFIX "unix:"
#define HOST_MAX_BYTES 64 // an IPv6 address with a scope, and its NUL

static struct sockaddr_in *address_v4(struct stream_address *address)
{
    return (struct sockaddr_in *)(void *)&address->address;
}

static struct sockaddr_in6 *address_v6(struct stream_address *address)
{
    return (struct sockaddr_in6 *)(void *)&address->address;
}

static const struct sockaddr_in *address_v4_view(const struct stream_address *address)
{
    return (const struct sockaddr_in *)(const void *)&address->address;
}

static const struct sockaddr_in6 *address_v6_view(const struct stream_address *address)
{
    return (const struct sockaddr_in6 *)(const void *)&address->address;
}

static const struct sockaddr_un *address_unix_view(const struct stream_address *address)
{
    return (const struct sockaddr_un *)(const void *)&address->address;
}

void socket_address_unmap(struct stream_address *address)
{
    const struct sockaddr_in6 v6 = *address_v6_view(address);
    if (address->address.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        return;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6.sin6_port};
    memcpy(&v4.sin_addr, &v6.sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
    memset(&address->address, 0, sizeof(address->address));
    memcpy(&address->address, &v4, sizeof(v4));
    address->length = sizeof(v4);
}

size_t socket_address_unix_path(const struct stream_address *address, const char **path)
{
    const size_t offset = offsetof(struct sockaddr_un, sun_path);
    if (address->address.ss_family != AF_UNIX || address->length <= offset) {
        return 0;
    }
    *path = address_unix_view(address)->sun_path;
    size_t length = address->length - offset;
    // A path may carry its NUL; an abstract name begins with one and any other is part of it.
    return **path == '\0' ? length : strnlen(*path, length);
}

static enum rm_err address_parse_unix(const char *name, struct stream_address *out,
                                      struct rm_error *error)
{
    struct sockaddr_un *unix_address = (struct sockaddr_un *)(void *)&out->address;
    size_t length = strlen(name);
    if (length == 0 || strcmp(name, "@") == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "\"unix:\" needs a path or an @name after it");
    }
    if (length >= sizeof(unix_address->sun_path)) {
        return rm_error_set(
            error, RM_ERR_MALFORMED,
            "the Unix socket's path has %zu bytes, but the system takes at most %zu: "
            "choose a shorter folder",
            length, sizeof(unix_address->sun_path) - 1);
    }
    bool is_abstract = name[0] == '@';
    unix_address->sun_family = AF_UNIX;
    memcpy(unix_address->sun_path, name, length);
    if (is_abstract) {
        unix_address->sun_path[0] = '\0';
    }
    out->length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (is_abstract ? 0 : 1));
    return RM_OK;
}

static bool address_parse_port(const char *text, in_port_t *port)
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *port = htons((uint16_t)value);
    return value <= UINT16_MAX;
}

static bool address_set_v6(char *host, in_port_t port, struct stream_address *out)
{
    struct sockaddr_in6 *v6 = address_v6(out);
    char *scope = strchr(host, '%');
    if (scope != NULL) {
        *scope = '\0';
        v6->sin6_scope_id = if_nametoindex(scope + 1);
        if (v6->sin6_scope_id == 0) {
            return false;
        }
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    out->length = sizeof(*v6);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static bool address_set_host(char *host, in_port_t port, struct stream_address *out)
{
    size_t length = strlen(host);
    if (length == 0) {
        // Any address: IPv6's includes IPv4, and a listener knows what to do without IPv6.
        char any[] = "::";
        return address_set_v6(any, port, out);
    }
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        return address_set_v6(host + 1, port, out);
    }
    struct sockaddr_in *v4 = address_v4(out);
    v4->sin_family = AF_INET;
    v4->sin_port = port;
    out->length = sizeof(*v4);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

enum rm_err socket_address_parse(const char *text, struct stream_address *out,
                                 struct rm_error *error)
{
    memset(out, 0, sizeof(*out));
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        return address_parse_unix(text + strlen(UNIX_PREFIX), out, error);
    }
    char host[HOST_MAX_BYTES];
    in_port_t port;
    const char *colon = strrchr(text, ':');
    size_t host_length = colon != NULL ? (size_t)(colon - text) : 0;
    if (colon == NULL || host_length >= sizeof(host) || !address_parse_port(colon + 1, &port)) {
        goto malformed;
    }
    memcpy(host, text, host_length);
    host[host_length] = '\0';
    if (address_set_host(host, port, out)) {
        return RM_OK;
    }

malformed:
    memset(out, 0, sizeof(*out));
    return rm_error_set(
        error, RM_ERR_MALFORMED,
        "\"%.100s\" is not an address: write \"10.0.0.1:80\", \"[::1]:80\", \":80\" "
        "(any address) or \"unix:/path\"",
        text);
}

bool socket_address_is_loopback(const struct stream_address *address)
{
    struct stream_address plain = *address;
    socket_address_unmap(&plain);
    switch (plain.address.ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(address_v4(&plain)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&address_v6(&plain)->sin6_addr);
    default:
        return false;
    }
}

bool socket_address_equal(const struct stream_address *a, const struct stream_address *b)
{
    struct stream_address x = *a;
    struct stream_address y = *b;
    socket_address_unmap(&x);
    socket_address_unmap(&y);
    if (x.address.ss_family != y.address.ss_family) {
        return false;
    }
    const char *x_path = NULL;
    const char *y_path = NULL;
    switch (x.address.ss_family) {
    case AF_UNIX: {
        size_t x_length = socket_address_unix_path(&x, &x_path);
        size_t y_length = socket_address_unix_path(&y, &y_path);
        return x_length > 0 && x_length == y_length && memcmp(x_path, y_path, x_length) == 0;
    }
    case AF_INET:
        return address_v4(&x)->sin_port == address_v4(&y)->sin_port &&
               address_v4(&x)->sin_addr.s_addr == address_v4(&y)->sin_addr.s_addr;
    case AF_INET6:
        return address_v6(&x)->sin6_port == address_v6(&y)->sin6_port &&
               address_v6(&x)->sin6_scope_id == address_v6(&y)->sin6_scope_id &&
               IN6_ARE_ADDR_EQUAL(&address_v6(&x)->sin6_addr, &address_v6(&y)->sin6_addr);
    default:
        return false;
    }
}

void stream_address_text(const struct stream_address *address, char out[STREAM_ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    const char *path = "";
    switch (address->address.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &address_v4_view(address)->sin_addr, host, sizeof(host));
        snprintf(out, STREAM_ADDRESS_TEXT_BYTES, "%s:%u", host,
                 ntohs(address_v4_view(address)->sin_port));
        return;
    case AF_INET6:
        inet_ntop(AF_INET6, &address_v6_view(address)->sin6_addr, host, sizeof(host));
        snprintf(out, STREAM_ADDRESS_TEXT_BYTES, "[%s]:%u", host,
                 ntohs(address_v6_view(address)->sin6_port));
        return;
    case AF_UNIX: {
        size_t length = socket_address_unix_path(address, &path);
        bool is_abstract = length > 0 && path[0] == '\0';
        snprintf(out, STREAM_ADDRESS_TEXT_BYTES, UNIX_PREFIX "%s%.*s", is_abstract ? "@" : "",
                 (int)(is_abstract ? length - 1 : length), is_abstract ? path + 1 : path);
        return;
    }
    default:
        snprintf(out, STREAM_ADDRESS_TEXT_BYTES, "memory");
        return;
    }
}
