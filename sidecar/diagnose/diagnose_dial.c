// SPDX-License-Identifier: GPL-3.0-or-later
#include "diagnose/diagnose_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static uint64_t dial_took_us(const struct dial *dial)
{
    return (clock_mono_ns() - dial->started_ns) / 1000;
}

enum rm_err dial_parse(struct dial *dial, const char *target)
{
    const char *colon = strrchr(target, ':');
    char *end = NULL;
    bool is_digit = colon != NULL && colon[1] >= '0' && colon[1] <= '9';
    unsigned long port = is_digit ? strtoul(colon + 1, &end, 10) : 0;
    if (port == 0 || port > UINT16_MAX || *end != '\0') {
        return RM_ERR_MALFORMED;
    }
    size_t length = (size_t)(colon - target);
    if (length > 2 && target[0] == '[' && target[length - 1] == ']') {
        target++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof(dial->host)) {
        return RM_ERR_MALFORMED;
    }
    memcpy(dial->host, target, length);
    dial->host[length] = '\0';
    dial->port = (uint16_t)port;
    return strpbrk(dial->host, "/ \t[]") == NULL ? RM_OK : RM_ERR_MALFORMED;
}

static void dial_on_resolved(void *context, enum rm_err result,
                             const struct sockaddr_storage *addresses, size_t count)
{
    struct dial *dial = context;
    dial->lookup = NULL;
    for (size_t i = 0; result == RM_OK && i < count && i < RESOLVER_MAX_ADDRESSES; i++) {
        dial->addresses[i].address = addresses[i];
        dial->addresses[i].length = addresses[i].ss_family == AF_INET6
                                        ? (socklen_t)sizeof(struct sockaddr_in6)
                                        : (socklen_t)sizeof(struct sockaddr_in);
        dial->address_count = i + 1;
    }
    if (result == RM_OK && dial->address_count == 0) {
        result = RM_ERR_NOT_FOUND;
    }
    dial->on_resolved(dial->context, result, dial_took_us(dial));
}

void dial_resolve(struct dial *dial)
{
    dial->started_ns = clock_mono_ns();
    dial->address_count = 0;
    dial->address_index = 0;
    enum rm_err result = resolver_lookup(dial->resolver, dial->host, dial->port, dial_on_resolved,
                                         dial, &dial->lookup);
    if (result != RM_OK) {
        dial->on_resolved(dial->context, result, dial_took_us(dial));
    }
}

static void dial_on_connected(void *context, enum rm_err result, struct stream *stream)
{
    struct dial *dial = context;
    dial->connecting = NULL;
    if (result != RM_OK && dial->address_index + 1 < dial->address_count) {
        dial->address_index++;
        dial_connect(dial);
        return;
    }
    dial->on_connected(dial->context, result, stream, dial_took_us(dial));
}

void dial_connect(struct dial *dial)
{
    dial->started_ns = clock_mono_ns();
    enum rm_err result =
        socket_connect(dial->loop, &dial->addresses[dial->address_index], DIAGNOSE_CONNECT_MS,
                       dial_on_connected, dial, &dial->connecting);
    if (result != RM_OK) {
        dial->on_connected(dial->context, result, NULL, dial_took_us(dial));
    }
}

void dial_cancel(struct dial *dial)
{
    if (dial->lookup != NULL) {
        resolver_cancel(dial->lookup);
        dial->lookup = NULL;
    }
    if (dial->connecting != NULL) {
        socket_connect_cancel(dial->connecting);
        dial->connecting = NULL;
    }
}

void dial_address_text(const struct dial *dial, char out[STREAM_ADDRESS_TEXT_BYTES])
{
    stream_address_text(&dial->addresses[dial->address_index], out);
}
