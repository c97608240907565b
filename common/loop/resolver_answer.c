// SPDX-License-Identifier: GPL-3.0-or-later
#include <arpa/inet.h>
#include <string.h>

#include "base/alloc.h"
#include "loop/resolver_internal.h"

enum rm_err resolver_code(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return RM_OK;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
        return RM_ERR_NOT_FOUND;
    case ARES_ETIMEOUT:
        return RM_ERR_TIMEOUT;
    case ARES_EBADNAME:
        return RM_ERR_MALFORMED;
    case ARES_ENOMEM:
        return RM_ERR_NO_MEMORY;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return RM_ERR_CANCELLED;
    default:
        // The servers refuse, fail, cannot be reached or answer nonsense.
        return RM_ERR_UNAVAILABLE;
    }
}

static void answer_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    }
}

enum rm_err resolver_answer_literal(struct resolver_lookup *lookup, const char *name)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&address;
    if (inet_pton(AF_INET, name, &v4->sin_addr) == 1) {
        address.ss_family = AF_INET;
    } else if (inet_pton(AF_INET6, name, &v6->sin6_addr) == 1) {
        address.ss_family = AF_INET6;
    } else {
        return RM_ERR_NOT_FOUND;
    }
    answer_set_port(&address, lookup->port);
    lookup->addresses = rm_memdup(&address, sizeof(address));
    if (lookup->addresses == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    lookup->count = 1;
    return RM_OK;
}

static bool answer_is_usable(const struct ares_addrinfo_node *node)
{
    return (node->ai_family == AF_INET || node->ai_family == AF_INET6) &&
           node->ai_addrlen <= sizeof(struct sockaddr_storage);
}

enum rm_err resolver_answer_store(struct resolver_lookup *lookup, const struct ares_addrinfo *found)
{
    size_t count = 0;
    for (const struct ares_addrinfo_node *node = found->nodes; node != NULL; node = node->ai_next) {
        count += answer_is_usable(node);
    }
    if (count == 0) {
        return RM_ERR_NOT_FOUND;
    }
    if (count > RESOLVER_MAX_ADDRESSES) {
        count = RESOLVER_MAX_ADDRESSES;
    }
    lookup->addresses = rm_calloc(count, sizeof(*lookup->addresses));
    if (lookup->addresses == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    const struct ares_addrinfo_node *node = found->nodes;
    for (; node != NULL && lookup->count < count; node = node->ai_next) {
        if (answer_is_usable(node)) {
            struct sockaddr_storage *address = &lookup->addresses[lookup->count++];
            memcpy(address, node->ai_addr, node->ai_addrlen);
            answer_set_port(address, lookup->port);
        }
    }
    return RM_OK;
}
