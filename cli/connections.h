// SPDX-License-Identifier: GPL-3.0-or-later
//
// A sidecar's connections as a list that can be filtered and sorted: what `connections` prints and
// `top` redraws. Life: connections_fetch -> (sort, rate, read) -> connections_deinit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "args.h"
#include "base/encode.h"
#include "exchange.h"
#include "sidecar_wire.h"
#include "json/json.h"

#define CONNECTIONS_MAX 262144 // kept of one answer; further ones are counted only

struct connection_entry {
    struct wire_connection of; // its texts and bytes lie in `block`
    void *block;               // owned
    uint64_t sent_rate;        // bytes a second, see connections_rate()
    uint64_t received_rate;    // the same
};

struct connection_list {
    struct connection_entry *entries; // owned
    size_t count;                     // of entries
    size_t room;                      // of entries
    size_t left_out;                  // beyond CONNECTIONS_MAX
};

// What to show; NULL or "": all.
struct connection_filter {
    const char *service; // exactly this one
    const char *peer;    // a SPIFFE ID, or a part of one
    const char *text;    // in any of its texts
};

// Asks the sidecar. Unless CLI_OK the list is empty and `sentence` says why.
RM_NODISCARD enum cli_exit connections_fetch(const struct args *args,
                                             const struct connection_filter *filter,
                                             struct connection_list *out,
                                             char sentence[EXCHANGE_SENTENCE_BYTES]);
void connections_deinit(struct connection_list *list);

// An order: what comes first is what one looks for.
struct connection_order {
    const char *name; // of --sort
    char key;         // of top
    const char *help; // what comes first
    int (*compare)(const struct connection_entry *a, const struct connection_entry *b);
};
// Ends with a NULL name. The first one is the default.
extern const struct connection_order connection_orders[];
// NULL: no such order.
const struct connection_order *connection_order_find(const char *name);
void connections_sort(struct connection_list *list, const struct connection_order *order,
                      bool is_reversed);
// Fills in the rates from what each connection had carried `elapsed_ms` before. Sorts `before`.
// Errors: none; a connection that `before` lacks has no rate yet.
void connections_rate(struct connection_list *now, struct connection_list *before,
                      uint64_t elapsed_ms);

// The order that --sort names; CLI_USAGE with a sentence on standard error when there is none such.
RM_NODISCARD enum cli_exit connections_read_order(const struct args *args,
                                                  const struct connection_order **out);
// As a table or, with --json, as JSON.
enum cli_exit connections_print(const struct args *args, const struct connection_list *list);

// JSON of all; NULL when memory is exhausted.
struct json *connections_json(const struct connection_list *list);

#define CONNECTION_ID_TEXT_BYTES HEX_BYTES(8)
// The first half of its id, "-" while there is none.
void connection_id_text(const struct wire_connection *connection,
                        char out[CONNECTION_ID_TEXT_BYTES]);
#define AMOUNT_BYTES 16
// "0", "999", "1.2k", "34M", "5.6G".
void amount_text(uint64_t amount, char out[AMOUNT_BYTES]);
