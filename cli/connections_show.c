// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora connections.
#include <stdio.h>

#include "base/alloc.h"
#include "commands.h"
#include "connections.h"
#include "show.h"

static void add_row(struct table *table, const struct wire_connection *connection)
{
    char id[CONNECTION_ID_TEXT_BYTES];
    char left[CLOCK_DURATION_BYTES];
    char age[CLOCK_DURATION_BYTES];
    char sent[AMOUNT_BYTES];
    char received[AMOUNT_BYTES];
    connection_id_text(connection, id);
    show_left(connection->peer_not_after_s, left);
    clock_format_duration((int64_t)(connection->age_ms / 1000), age);
    amount_text(connection->sent_bytes, sent);
    amount_text(connection->received_bytes, received);
    table_add(table, id);
    table_add(table, connection->direction);
    table_add(table, connection->state);
    table_printf(table, "%s:%u", connection->service, (unsigned)connection->port);
    table_add(table, connection->peer_identity);
    table_add(table, left);
    table_add(table, connection->remote);
    table_add(table, connection->application);
    table_add(table, sent);
    table_add(table, received);
    table_add(table, age);
    table_printf(table, "%s%s", connection->group, connection->is_resumed ? " resumed" : "");
}

static enum cli_exit print_table(const struct connection_list *list)
{
    static const char *const heading[] = {
        "ID",     "DIRECTION",   "STATE", "SERVICE",   "PEER", ">LEFT",
        "REMOTE", "APPLICATION", ">SENT", ">RECEIVED", ">AGE", "TLS",
    };
    struct table table;
    table_init(&table, heading, sizeof heading / sizeof *heading);
    for (size_t i = 0; i < list->count; i++) {
        add_row(&table, &list->entries[i].of);
    }
    return show_table(&table, "no connections");
}

static enum cli_exit print_json(const struct connection_list *list)
{
    struct json *object = json_object_new();
    bool is_whole = json_set(object, "connections", connections_json(list));
    return show_json(object, is_whole);
}

enum cli_exit connections_read_order(const struct args *args, const struct connection_order **out)
{
    const char *name = args_value(args, "sort");
    *out = name != NULL ? connection_order_find(name) : &connection_orders[0];
    if (*out != NULL) {
        return CLI_OK;
    }
    fprintf(stderr, "remora: --sort is one of");
    for (const struct connection_order *order = connection_orders; order->name != NULL; order++) {
        fprintf(stderr, " %s", order->name);
    }
    fprintf(stderr, ", not '%s'\n", name);
    return CLI_USAGE;
}

enum cli_exit connections_print(const struct args *args, const struct connection_list *list)
{
    if (list->left_out > 0) {
        fprintf(stderr, "remora: %zu connections more are not shown\n", list->left_out);
    }
    return args->is_json ? print_json(list) : print_table(list);
}

enum cli_exit connections_show(const struct args *args)
{
    const struct connection_order *order = NULL;
    const struct connection_filter filter = {.service = args_value(args, "service"),
                                             .peer = args_value(args, "peer")};
    struct connection_list list;
    char sentence[EXCHANGE_SENTENCE_BYTES];
    enum cli_exit status = connections_read_order(args, &order);
    if (status != CLI_OK) {
        return status;
    }
    status = connections_fetch(args, &filter, &list, sentence);
    if (status != CLI_OK) {
        fprintf(stderr, "remora: %s\n", sentence);
        return status;
    }
    connections_sort(&list, order, args_has(args, "reverse"));
    status = connections_print(args, &list);
    connections_deinit(&list);
    return status;
}
