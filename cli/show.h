// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the commands share in showing answers: times, lists, JSON, and sentences for failures.
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "base/encode.h"
#include "cli_wire.h"
#include "exchange.h"
#include "table.h"
#include "json/json.h"

#define SHOW_MAX_HEX_BYTES 64 // of what is shown in hex

// Says on standard error what failed on our side. Gives CLI_REFUSED.
enum cli_exit show_failure(enum rm_err result);
// A request could not be encoded: says so. Gives CLI_USAGE for what is too large.
enum cli_exit show_unsendable(enum rm_err result);
// Prints and frees. `json` NULL or `is_whole` false: memory ran out while it was made.
enum cli_exit show_json(struct json *json, bool is_whole);
// Prints and frees; with no rows only `hint`, on standard error.
enum cli_exit show_table(struct table *table, const char *hint);

// A list as a table or as {"<key>": [...]}.
struct list_view {
    enum exchange_peer peer;    // whom to ask
    const char *method;         // of its service
    const char *key;            // in JSON
    const char *hint;           // when there is nothing to show
    const char *const *heading; // see table_init()
    size_t column_count;        // of heading
    // Visits the answer: adds rows to a struct table, or with `is_json` objects to an array.
    enum rm_err (*read)(const struct wire_bytes *answer, bool is_json, void *target);
};
// Asks and shows. Takes request->bytes.
enum cli_exit show_list(const struct args *args, const struct list_view *view,
                        struct wire_bytes *request);
// "<noun> <name> deleted".
enum cli_exit show_deleted(const struct args *args, const char *noun);

// Who may call a service, in words.
void show_add_callers(struct table *table, const struct wire_texts *allow, bool is_guarded);
// "name   text", made safe for a terminal.
void show_line(const char *name, const char *text);
void show_linef(const char *name, const char *format, ...) RM_PRINTF(2, 3);
// "2026-01-31T12:00:00Z", or "-" for 0.
void show_time(int64_t seconds, char out[CLOCK_RFC3339_BYTES]);
// How long from now: "23h12m", or "-" for 0.
void show_left(int64_t until_s, char out[CLOCK_DURATION_BYTES]);
// Up to SHOW_MAX_HEX_BYTES of bytes; "" for none.
void show_hex(const uint8_t *bytes, size_t length, char out[HEX_BYTES(SHOW_MAX_HEX_BYTES)]);

// false: memory ran out. Times are RFC 3339 under `key` and Unix seconds under `key_s`; null for 0.
bool show_set_time(struct json *object, const char *key, const char *key_s, int64_t seconds);
// "seconds_left"; null for 0.
bool show_set_seconds_left(struct json *object, int64_t until_s);
bool show_set_texts(struct json *object, const char *key, const struct wire_texts *texts);
// "" becomes null.
bool show_set_text(struct json *object, const char *key, const char *text);
bool show_set_hex(struct json *object, const char *key, const uint8_t *bytes, size_t length);
