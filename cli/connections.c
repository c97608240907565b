// SPDX-License-Identifier: GPL-3.0-or-later
#include "connections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "show.h"

// --- Keeping what came.

// Every text of a connection, to be copied and searched.
#define CONNECTION_TEXTS(X)                                                                        \
    X(direction)                                                                                   \
    X(state)                                                                                       \
    X(service)                                                                                     \
    X(local_identity)                                                                              \
    X(peer_identity)                                                                               \
    X(remote)                                                                                      \
    X(application)                                                                                 \
    X(tls_version)                                                                                 \
    X(suite)                                                                                       \
    X(group)

static void copy(const void **borrowed, size_t length, char **at)
{
    memcpy(*at, *borrowed, length);
    *borrowed = *at;
    *at += length;
}

static bool keep(struct connection_entry *entry, const struct wire_connection *connection)
{
    size_t length = connection->id.length + connection->peer_serial.length;
#define ADD_LENGTH(member) length += strlen(connection->member) + 1;
    CONNECTION_TEXTS(ADD_LENGTH)
#undef ADD_LENGTH
    *entry = (struct connection_entry){.of = *connection, .block = rm_malloc(length)};
    if (entry->block == NULL) {
        return false;
    }
    char *at = entry->block;
#define COPY_TEXT(member)                                                                          \
    copy((const void **)&entry->of.member, strlen(connection->member) + 1, &at);
    CONNECTION_TEXTS(COPY_TEXT)
#undef COPY_TEXT
    copy((const void **)&entry->of.id.bytes, connection->id.length, &at);
    copy((const void **)&entry->of.peer_serial.bytes, connection->peer_serial.length, &at);
    return true;
}

static bool has_text(const struct wire_connection *connection, const char *text)
{
    char id[CONNECTION_ID_TEXT_BYTES];
    connection_id_text(connection, id);
#define IF_IN_TEXT(member)                                                                         \
    if (strstr(connection->member, text) != NULL) {                                                \
        return true;                                                                               \
    }
    CONNECTION_TEXTS(IF_IN_TEXT)
#undef IF_IN_TEXT
    return strstr(id, text) != NULL;
}

static bool is_wanted(const struct connection_filter *filter,
                      const struct wire_connection *connection)
{
    bool is_peer = filter->peer == NULL || strstr(connection->peer_identity, filter->peer) != NULL;
    return is_peer &&
           (filter->text == NULL || filter->text[0] == '\0' || has_text(connection, filter->text));
}

struct fetch {
    const struct connection_filter *filter; // borrowed
    struct connection_list *list;           // being filled
};

static bool grow(struct connection_list *list)
{
    if (list->count < list->room) {
        return true;
    }
    size_t room = list->room == 0 ? 256 : 2 * list->room;
    struct connection_entry *grown = rm_realloc(list->entries, room * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    list->entries = grown;
    list->room = room;
    return true;
}

static enum rm_err visit(void *context, const struct wire_connection *connection)
{
    struct fetch *fetch = context;
    struct connection_list *list = fetch->list;
    if (!is_wanted(fetch->filter, connection)) {
        return RM_OK;
    }
    if (list->count == CONNECTIONS_MAX) {
        list->left_out++;
        return RM_OK;
    }
    if (!grow(list) || !keep(&list->entries[list->count], connection)) {
        return RM_ERR_NO_MEMORY;
    }
    list->count++;
    return RM_OK;
}

static enum rm_err on_piece(void *context, const uint8_t *bytes, size_t length)
{
    return wire_read_connections(bytes, length, visit, context);
}

enum cli_exit connections_fetch(const struct args *args, const struct connection_filter *filter,
                                struct connection_list *out, char sentence[EXCHANGE_SENTENCE_BYTES])
{
    *out = (struct connection_list){0};
    struct wire_bytes request = {0};
    struct fetch fetch = {filter, out};
    const struct exchange_question question = {
        .peer = EXCHANGE_SIDECAR,
        .method = "ListConnections",
        .request = &request,
        .on_message = on_piece,
        .context = &fetch,
        .may_be_empty = true,
    };
    // A whole SPIFFE ID can be looked for there; a part of one only here.
    bool is_whole = filter->peer != NULL && strncmp(filter->peer, "spiffe://", 9) == 0;
    if (wire_list_connections(filter->service != NULL ? filter->service : "",
                              is_whole ? filter->peer : "", &request) != RM_OK) {
        snprintf(sentence, EXCHANGE_SENTENCE_BYTES, "%s", rm_err_text(RM_ERR_NO_MEMORY));
        return CLI_REFUSED;
    }
    enum cli_exit status = exchange_ask(args, &question, sentence);
    if (status != CLI_OK) {
        connections_deinit(out);
    }
    return status;
}

void connections_deinit(struct connection_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        rm_free(list->entries[i].block);
    }
    rm_free(list->entries);
    *list = (struct connection_list){0};
}

// --- Orders.

static int descending(uint64_t a, uint64_t b)
{
    return a > b ? -1 : a < b;
}

static int by_bytes(const struct connection_entry *a, const struct connection_entry *b)
{
    return descending(a->of.sent_bytes + a->of.received_bytes,
                      b->of.sent_bytes + b->of.received_bytes);
}

static int by_rate(const struct connection_entry *a, const struct connection_entry *b)
{
    return descending(a->sent_rate + a->received_rate, b->sent_rate + b->received_rate);
}

static int by_age(const struct connection_entry *a, const struct connection_entry *b)
{
    return descending(a->of.age_ms, b->of.age_ms);
}

static int by_service(const struct connection_entry *a, const struct connection_entry *b)
{
    return strcmp(a->of.service, b->of.service);
}

static int by_peer(const struct connection_entry *a, const struct connection_entry *b)
{
    return strcmp(a->of.peer_identity, b->of.peer_identity);
}

// What has no certificate yet has nothing that could end soon.
static int by_left(const struct connection_entry *a, const struct connection_entry *b)
{
    uint64_t a_end = a->of.peer_not_after_s > 0 ? (uint64_t)a->of.peer_not_after_s : UINT64_MAX;
    uint64_t b_end = b->of.peer_not_after_s > 0 ? (uint64_t)b->of.peer_not_after_s : UINT64_MAX;
    return descending(b_end, a_end);
}

static int by_state(const struct connection_entry *a, const struct connection_entry *b)
{
    return strcmp(a->of.state, b->of.state);
}

const struct connection_order connection_orders[] = {
    {"age", 'a', "the oldest first", by_age},
    {"bytes", 'b', "most bytes, both ways, first", by_bytes},
    {"rate", 't', "most bytes a second first (top)", by_rate},
    {"service", 'n', "by name of the service", by_service},
    {"peer", 'p', "by the peer's SPIFFE ID", by_peer},
    {"state", 's', "by state", by_state},
    {"left", 'l', "whose peer's certificate ends first", by_left},
    {0},
};

const struct connection_order *connection_order_find(const char *name)
{
    for (const struct connection_order *order = connection_orders; order->name != NULL; order++) {
        if (strcmp(order->name, name) == 0) {
            return order;
        }
    }
    return NULL;
}

struct sorting {
    const struct connection_order *order; // static
    bool is_reversed;                     // the last first
};

static int compare_ids(const struct wire_connection *a, const struct wire_connection *b)
{
    size_t shorter = a->id.length < b->id.length ? a->id.length : b->id.length;
    int result = shorter > 0 ? memcmp(a->id.bytes, b->id.bytes, shorter) : 0;
    if (result == 0) {
        result = (a->id.length > b->id.length) - (a->id.length < b->id.length);
    }
    // A connection of one sidecar to itself has one id twice.
    return result != 0 ? result : strcmp(a->direction, b->direction);
}

// Equal ones keep one order over redraws.
static int compare_entries(const void *left, const void *right, void *context)
{
    const struct sorting *sorting = context;
    const struct connection_entry *a = left;
    const struct connection_entry *b = right;
    int result = sorting->order->compare(a, b);
    if (result == 0) {
        result = by_age(a, b);
    }
    if (result == 0) {
        result = compare_ids(&a->of, &b->of);
    }
    return sorting->is_reversed ? -result : result;
}

void connections_sort(struct connection_list *list, const struct connection_order *order,
                      bool is_reversed)
{
    struct sorting sorting = {order, is_reversed};
    if (list->count > 1) {
        qsort_r(list->entries, list->count, sizeof *list->entries, compare_entries, &sorting);
    }
}

static int compare_by_id(const void *left, const void *right)
{
    const struct connection_entry *a = left;
    const struct connection_entry *b = right;
    return compare_ids(&a->of, &b->of);
}

static uint64_t rate_of(uint64_t before, uint64_t now, uint64_t elapsed_ms)
{
    return now > before ? (now - before) * 1000 / elapsed_ms : 0;
}

void connections_rate(struct connection_list *now, struct connection_list *before,
                      uint64_t elapsed_ms)
{
    if (before->count == 0 || elapsed_ms == 0) {
        return;
    }
    qsort(before->entries, before->count, sizeof *before->entries, compare_by_id);
    for (size_t i = 0; i < now->count; i++) {
        struct connection_entry *entry = &now->entries[i];
        const struct connection_entry *seen = entry->of.id.length == 0
                                                  ? NULL
                                                  : bsearch(entry, before->entries, before->count,
                                                            sizeof *before->entries, compare_by_id);
        if (seen != NULL) {
            entry->sent_rate = rate_of(seen->of.sent_bytes, entry->of.sent_bytes, elapsed_ms);
            entry->received_rate =
                rate_of(seen->of.received_bytes, entry->of.received_bytes, elapsed_ms);
        }
    }
}

// --- Texts.

void connection_id_text(const struct wire_connection *connection,
                        char out[CONNECTION_ID_TEXT_BYTES])
{
    if (connection->id.length == 0) {
        memcpy(out, "-", 2);
        return;
    }
    hex_encode(connection->id.bytes, connection->id.length < 8 ? connection->id.length : 8, out);
}

void amount_text(uint64_t amount, char out[AMOUNT_BYTES])
{
    static const char units[] = "kMGTPE";
    double value = (double)amount;
    size_t unit = 0;
    if (amount < 1000) {
        snprintf(out, AMOUNT_BYTES, "%u", (unsigned)amount);
        return;
    }
    // What would be rounded to a thousand has the next unit.
    for (value /= 1000; value >= 999.5 && unit < sizeof units - 2; unit++) {
        value /= 1000;
    }
    snprintf(out, AMOUNT_BYTES, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static struct json *tls_json(const struct wire_connection *connection)
{
    struct json *object = json_object_new();
    if (object != NULL && json_set_string(object, "version", connection->tls_version) &&
        json_set_string(object, "suite", connection->suite) &&
        json_set_string(object, "group", connection->group) &&
        json_set_bool(object, "resumed", connection->is_resumed) &&
        json_set_integer(object, "handshake_ms", connection->handshake_ms)) {
        return object;
    }
    json_free(object);
    return NULL;
}

static bool set_identities(struct json *object, const struct wire_connection *connection)
{
    return show_set_text(object, "local_identity", connection->local_identity) &&
           show_set_text(object, "peer_identity", connection->peer_identity) &&
           show_set_hex(object, "peer_serial", connection->peer_serial.bytes,
                        connection->peer_serial.length) &&
           show_set_time(object, "peer_not_after", "peer_not_after_s",
                         connection->peer_not_after_s) &&
           show_set_seconds_left(object, connection->peer_not_after_s);
}

static struct json *connection_json(const struct wire_connection *connection)
{
    struct json *object = json_object_new();
    bool has_tls = connection->tls_version[0] != '\0';
    bool is_whole =
        object != NULL && show_set_hex(object, "id", connection->id.bytes, connection->id.length) &&
        json_set_string(object, "direction", connection->direction) &&
        json_set_string(object, "state", connection->state) &&
        show_set_text(object, "service", connection->service) &&
        json_set_integer(object, "port", connection->port) && set_identities(object, connection) &&
        show_set_text(object, "remote", connection->remote) &&
        show_set_text(object, "application", connection->application) &&
        json_set_integer(object, "sent_bytes", (int64_t)connection->sent_bytes) &&
        json_set_integer(object, "received_bytes", (int64_t)connection->received_bytes) &&
        json_set_integer(object, "age_ms", (int64_t)connection->age_ms) &&
        json_set_integer(object, "worker", connection->worker) &&
        (has_tls ? json_set(object, "tls", tls_json(connection))
                 : json_set_string(object, "tls", NULL));
    if (!is_whole) {
        json_free(object);
        return NULL;
    }
    return object;
}

struct json *connections_json(const struct connection_list *list)
{
    struct json *array = json_array_new();
    for (size_t i = 0; i < list->count && array != NULL; i++) {
        if (!json_append(array, connection_json(&list->entries[i].of))) {
            json_free(array);
            return NULL;
        }
    }
    return array;
}
