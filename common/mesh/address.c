// SPDX-License-Identifier: GPL-3.0-or-later
//
// The text forms that resources hold: service names, labels and addresses.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "mesh/resource.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static enum rm_err check_dns_label(const char *label, size_t length, size_t offset,
                                   struct rm_error *error)
{
    if (length == 0 || length > MESH_MAX_LABEL_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "each part of a name has 1 to %d characters (offset %zu)",
                            MESH_MAX_LABEL_BYTES, offset);
    }
    for (size_t i = 0; i < length; i++) {
        bool is_inner = i > 0 && i + 1 < length;
        if (!is_lower_or_digit(label[i]) && !(label[i] == '-' && is_inner)) {
            return rm_error_set(error, RM_ERR_MALFORMED,
                                "a name holds a-z, 0-9, '.' and inner '-' only (offset %zu)",
                                offset + i);
        }
    }
    return RM_OK;
}

enum rm_err mesh_name_check(const char *name, struct rm_error *error)
{
    size_t length = strnlen(name, MESH_MAX_NAME_BYTES + 1);
    if (length > MESH_MAX_NAME_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the name is longer than %d bytes",
                            MESH_MAX_NAME_BYTES);
    }
    size_t at = 0;
    for (;;) {
        size_t label = strcspn(name + at, ".");
        RM_TRY(check_dns_label(name + at, label, at, error));
        at += label;
        if (at == length) {
            return RM_OK;
        }
        at++;
    }
}

bool mesh_label_is_valid(const char *label)
{
    size_t length = strnlen(label, MESH_MAX_LABEL_BYTES + 1);
    for (size_t i = 0; i < length; i++) {
        char c = label[i];
        if (!is_lower_or_digit(c) && !(c >= 'A' && c <= 'Z') && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return length > 0 && length <= MESH_MAX_LABEL_BYTES;
}

static enum rm_err check_port(const char *port, struct rm_error *error)
{
    unsigned number = 0;
    size_t digits = strspn(port, "0123456789");
    for (size_t i = 0; i < digits && i < 5; i++) {
        number = number * 10 + (unsigned)(port[i] - '0');
    }
    if (digits == 0 || digits > 5 || port[digits] != '\0' || port[0] == '0' || number > 65535) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the port is not a number from 1 to 65535");
    }
    return RM_OK;
}

// One spelling for each address, so that two of them can be compared as text.
static enum rm_err check_host(const char *host, bool is_v6, struct rm_error *error)
{
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } parsed;
    int family = is_v6 ? AF_INET6 : AF_INET;
    char canonical[INET6_ADDRSTRLEN];
    if (inet_pton(family, host, &parsed) != 1 ||
        inet_ntop(family, &parsed, canonical, sizeof(canonical)) == NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the host is no IPv4 address and no IPv6 address in brackets");
    }
    if (strcmp(canonical, host) != 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the address must be written as %s",
                            canonical);
    }
    bool is_nobody = is_v6
                         ? IN6_IS_ADDR_UNSPECIFIED(&parsed.v6) || IN6_IS_ADDR_MULTICAST(&parsed.v6)
                         : parsed.v4.s_addr == INADDR_ANY || IN_MULTICAST(ntohl(parsed.v4.s_addr));
    if (is_nobody) {
        return rm_error_set(error, RM_ERR_MALFORMED, "%s is the address of no single host", host);
    }
    return RM_OK;
}

enum rm_err mesh_address_check(const char *address, bool may_lack_host, struct rm_error *error)
{
    if (strnlen(address, MESH_MAX_ADDRESS_BYTES + 1) > MESH_MAX_ADDRESS_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the address is longer than %d bytes",
                            MESH_MAX_ADDRESS_BYTES);
    }
    bool is_v6 = address[0] == '[';
    const char *host_end = is_v6 ? strchr(address, ']') : strchr(address, ':');
    const char *colon = is_v6 && host_end != NULL ? host_end + 1 : host_end;
    if (colon == NULL || *colon != ':') {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "an address is written 10.0.0.1:15008 or [2001:db8::1]:15008");
    }
    RM_TRY(check_port(colon + 1, error));
    if (colon == address && may_lack_host) {
        return RM_OK;
    }
    char host[MESH_MAX_ADDRESS_BYTES + 1];
    const char *host_start = is_v6 ? address + 1 : address;
    size_t host_length = (size_t)(host_end - host_start);
    memcpy(host, host_start, host_length);
    host[host_length] = '\0';
    return check_host(host, is_v6, error);
}
