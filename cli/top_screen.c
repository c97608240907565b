// SPDX-License-Identifier: GPL-3.0-or-later
//
// The drawing of `top`: a heading, then a line for each connection, cut to the screen. Columns that
// matter less go first when there is little room.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "show.h"
#include "top_internal.h"

#define HEAD_ROWS 5     // above the connections
#define PEER_MIN 16     // columns for the peer before others go
#define CELL_BYTES 512  // of one cell's text
#define LINE_BYTES 2048 // of one line of the heading

// What is drawn on.
struct canvas {
    struct buffer *out; // borrowed
    size_t columns;     // of the screen
    bool is_screen;     // false: plain text
};

// --- Columns.

struct column {
    const char *title; // in the heading
    size_t width;      // in characters; 0: takes what is left
    bool is_number;    // to the right
    int keep;          // those with less go first when room is short
    void (*fill)(const struct connection_entry *entry, char out[CELL_BYTES]);
};

static void fill_direction(const struct connection_entry *entry, char out[CELL_BYTES])
{
    snprintf(out, CELL_BYTES, "%s", entry->of.direction);
}

static void fill_state(const struct connection_entry *entry, char out[CELL_BYTES])
{
    snprintf(out, CELL_BYTES, "%s", entry->of.state);
}

static void fill_service(const struct connection_entry *entry, char out[CELL_BYTES])
{
    snprintf(out, CELL_BYTES, "%s:%u", entry->of.service, (unsigned)entry->of.port);
}

static void fill_peer(const struct connection_entry *entry, char out[CELL_BYTES])
{
    const char *id = entry->of.peer_identity;
    snprintf(out, CELL_BYTES, "%s", strncmp(id, "spiffe://", 9) == 0 ? id + 9 : id);
}

static void fill_remote(const struct connection_entry *entry, char out[CELL_BYTES])
{
    snprintf(out, CELL_BYTES, "%s", entry->of.remote);
}

static void fill_sent_rate(const struct connection_entry *entry, char out[CELL_BYTES])
{
    amount_text(entry->sent_rate, out);
}

static void fill_received_rate(const struct connection_entry *entry, char out[CELL_BYTES])
{
    amount_text(entry->received_rate, out);
}

static void fill_sent(const struct connection_entry *entry, char out[CELL_BYTES])
{
    amount_text(entry->of.sent_bytes, out);
}

static void fill_received(const struct connection_entry *entry, char out[CELL_BYTES])
{
    amount_text(entry->of.received_bytes, out);
}

static void fill_age(const struct connection_entry *entry, char out[CELL_BYTES])
{
    clock_format_duration((int64_t)(entry->of.age_ms / 1000), out);
}

static void fill_left(const struct connection_entry *entry, char out[CELL_BYTES])
{
    show_left(entry->of.peer_not_after_s, out);
}

static const struct column columns_of_top[] = {
    {"DIRECTION", 9, false, 4, fill_direction},
    {"STATE", 9, false, 2, fill_state},
    {"SERVICE", 16, false, 9, fill_service},
    {"PEER", 0, false, 9, fill_peer},
    {"REMOTE", 21, false, 1, fill_remote},
    {"SENT/S", 6, true, 7, fill_sent_rate},
    {"RECV/S", 6, true, 7, fill_received_rate},
    {"SENT", 6, true, 6, fill_sent},
    {"RECV", 6, true, 6, fill_received},
    {"AGE", 7, true, 5, fill_age},
    {"LEFT", 7, true, 3, fill_left},
};
#define COLUMN_COUNT (sizeof columns_of_top / sizeof *columns_of_top)

// Width of each column on this screen; 0: it is left out.
struct layout {
    size_t widths[COLUMN_COUNT]; // of the columns
};

static size_t used_width(const struct layout *layout)
{
    size_t used = 0;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        used += layout->widths[i] > 0 ? layout->widths[i] + 1 : 0;
    }
    return used;
}

// The column to give up next, or COLUMN_COUNT.
static size_t least_column(const struct layout *layout)
{
    size_t least = COLUMN_COUNT;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (layout->widths[i] > 0 && columns_of_top[i].keep < 9 &&
            (least == COLUMN_COUNT || columns_of_top[i].keep < columns_of_top[least].keep)) {
            least = i;
        }
    }
    return least;
}

static struct layout make_layout(size_t columns)
{
    struct layout layout = {{0}};
    size_t peer = COLUMN_COUNT;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        layout.widths[i] = columns_of_top[i].width > 0 ? columns_of_top[i].width : PEER_MIN;
        peer = columns_of_top[i].width > 0 ? peer : i;
    }
    while (used_width(&layout) > columns && least_column(&layout) < COLUMN_COUNT) {
        layout.widths[least_column(&layout)] = 0;
    }
    if (used_width(&layout) < columns) {
        layout.widths[peer] += columns - used_width(&layout);
    }
    return layout;
}

// --- Text.

// The first `width` characters of `text`, made safe, and blanks up to there.
static enum rm_err append_cell(struct buffer *out, const char *text, size_t width, bool is_number)
{
    char *safe = printable_dup(text);
    if (safe == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    size_t length = 0;
    size_t shown = 0;
    while (safe[length] != '\0' && shown < width) {
        uint32_t code = 0;
        length += utf8_read(safe + length, &code);
        shown++;
    }
    int blanks = (int)(width - shown);
    enum rm_err result = buffer_printf(out, "%*s%.*s%*s", is_number ? blanks : 0, "", (int)length,
                                       safe, is_number ? 0 : blanks, "");
    rm_free(safe);
    return result;
}

static enum rm_err end_line(const struct canvas *canvas)
{
    // What an earlier drawing left there goes.
    return buffer_append_text(canvas->out, canvas->is_screen ? "\x1b[K\r\n" : "\n");
}

// A line of the heading, cut to the screen.
RM_PRINTF(2, 3)
static enum rm_err append_line(const struct canvas *canvas, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t width = text_width(text);
    RM_TRY(
        append_cell(canvas->out, text, width < canvas->columns ? width : canvas->columns, false));
    return end_line(canvas);
}

// --- The heading.

struct totals {
    size_t inbound;         // connections, as are the next two
    size_t outbound;        //
    size_t edge;            //
    uint64_t sent_rate;     // of all
    uint64_t received_rate; // of all
};

static struct totals add_up(const struct connection_list *list)
{
    struct totals totals = {0};
    for (size_t i = 0; i < list->count; i++) {
        const struct connection_entry *entry = &list->entries[i];
        totals.inbound += strcmp(entry->of.direction, "inbound") == 0;
        totals.outbound += strcmp(entry->of.direction, "outbound") == 0;
        totals.edge += strcmp(entry->of.direction, "edge") == 0;
        totals.sent_rate += entry->sent_rate;
        totals.received_rate += entry->received_rate;
    }
    return totals;
}

static enum rm_err append_sidecar(const struct top *top, const struct canvas *canvas)
{
    const struct top_sidecar *sidecar = &top->sidecar;
    char uptime[CLOCK_DURATION_BYTES];
    char heard[CLOCK_DURATION_BYTES] = "never";
    if (top->sentence[0] != '\0') {
        RM_TRY(append_line(canvas, "%s", top->sentence));
        return append_line(canvas, "%s", "");
    }
    clock_format_duration(sidecar->uptime_s, uptime);
    if (sidecar->heard_ago_ms >= 0) {
        clock_format_duration(sidecar->heard_ago_ms / 1000, heard);
    }
    RM_TRY(append_line(canvas, "remora-sidecar %s  %s  up %s  log %s", sidecar->version,
                       sidecar->identity[0] != '\0' ? sidecar->identity : "no identity yet", uptime,
                       sidecar->log_level));
    const char *control = sidecar->is_connected ? "connected" : "not connected";
    return append_line(
        canvas, "%s%s%s%s%s%s", sidecar->is_ready ? "ready" : "waits for ",
        sidecar->is_ready ? "" : sidecar->waits_for, sidecar->has_control ? "  control plane " : "",
        sidecar->has_control ? control : "", sidecar->has_control ? ", last heard: " : "",
        sidecar->has_control ? heard : "");
}

static enum rm_err append_totals(const struct top *top, const struct canvas *canvas)
{
    const struct totals totals = add_up(&top->list);
    char sent[AMOUNT_BYTES];
    char received[AMOUNT_BYTES];
    amount_text(totals.sent_rate, sent);
    amount_text(totals.received_rate, received);
    return append_line(canvas,
                       "%zu connections: %zu inbound, %zu outbound, %zu edge  sent %s/s, received "
                       "%s/s",
                       top->list.count, totals.inbound, totals.outbound, totals.edge, sent,
                       received);
}

static enum rm_err append_state(const struct top *top, const struct canvas *canvas)
{
    if (top->is_typing) {
        return append_line(canvas, "filter: %s_  (Enter keeps it, Escape drops it)", top->filter);
    }
    return append_line(canvas, "by %s%s%s%s%s  q quit, ? keys", top->order->name,
                       top->is_reversed ? ", reversed" : "", top->is_paused ? ", paused" : "",
                       top->filter[0] != '\0' ? ", with " : "", top->filter);
}

// --- The rest.

static enum rm_err append_titles(const struct layout *layout, const struct canvas *canvas)
{
    RM_TRY(buffer_append_text(canvas->out, canvas->is_screen ? "\x1b[7m" : ""));
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        if (layout->widths[i] > 0) {
            RM_TRY(append_cell(canvas->out, columns_of_top[i].title, layout->widths[i],
                               columns_of_top[i].is_number));
            RM_TRY(buffer_append_text(canvas->out, " "));
        }
    }
    RM_TRY(buffer_append_text(canvas->out, canvas->is_screen ? "\x1b[0m" : ""));
    return end_line(canvas);
}

static enum rm_err append_connection(const struct layout *layout,
                                     const struct connection_entry *entry,
                                     const struct canvas *canvas)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        char text[CELL_BYTES];
        if (layout->widths[i] == 0) {
            continue;
        }
        columns_of_top[i].fill(entry, text);
        RM_TRY(append_cell(canvas->out, text, layout->widths[i], columns_of_top[i].is_number));
        RM_TRY(buffer_append_text(canvas->out, " "));
    }
    return end_line(canvas);
}

static enum rm_err append_help(const struct canvas *canvas)
{
    RM_TRY(append_line(canvas, "  q        quit"));
    RM_TRY(append_line(canvas, "  space    pause, go on"));
    RM_TRY(append_line(canvas, "  + -      refresh less, more often"));
    RM_TRY(append_line(canvas, "  /        type a filter: any text of a connection"));
    RM_TRY(append_line(canvas, "  Escape   drop the filter"));
    RM_TRY(append_line(canvas, "  r        reverse the order"));
    RM_TRY(append_line(canvas, "  arrows, Page Up, Page Down, Home, End: scroll"));
    for (const struct connection_order *order = connection_orders; order->name != NULL; order++) {
        RM_TRY(append_line(canvas, "  %c        %s", order->key, order->help));
    }
    return RM_OK;
}

size_t top_page(size_t rows)
{
    return rows > HEAD_ROWS + 1 ? rows - HEAD_ROWS - 1 : 1;
}

static enum rm_err append_body(const struct top *top, size_t rows, const struct canvas *canvas)
{
    const struct layout layout = make_layout(canvas->columns);
    size_t first = rows > 0 ? top->scroll : 0;
    size_t last = rows > 0 ? first + top_page(rows) : top->list.count;
    if (top->shows_help) {
        return append_help(canvas);
    }
    RM_TRY(append_titles(&layout, canvas));
    for (size_t i = first; i < last && i < top->list.count; i++) {
        RM_TRY(append_connection(&layout, &top->list.entries[i], canvas));
    }
    return RM_OK;
}

enum rm_err top_draw(const struct top *top, size_t columns, size_t rows, struct buffer *out)
{
    const struct canvas canvas = {out, columns, rows > 0};
    buffer_clear(out);
    RM_TRY(buffer_append_text(out, rows > 0 ? "\x1b[H" : ""));
    RM_TRY(append_sidecar(top, &canvas));
    RM_TRY(append_totals(top, &canvas));
    if (rows > 0) {
        RM_TRY(append_state(top, &canvas));
    }
    RM_TRY(append_body(top, rows, &canvas));
    return buffer_append_text(out, rows > 0 ? "\x1b[J" : "");
}
