// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora top: a sidecar's connections, refreshed, on the whole screen; where there is no terminal,
// one picture of them.
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "commands.h"
#include "show.h"
#include "terminal.h"
#include "top_internal.h"

#define INTERVAL_DEFAULT_MS 2000
#define INTERVAL_MIN_MS 200
#define INTERVAL_MAX_MS 3600000
#define PLAIN_COLUMNS 160 // of a picture that goes to no terminal

// --- What is shown.

static void keep_text(char *out, size_t room, const char *text)
{
    snprintf(out, room, "%s", text);
}

static enum rm_err keep_status(void *context, const struct wire_sidecar_status *status)
{
    struct top_sidecar *out = context;
    *out = (struct top_sidecar){
        .uptime_s = status->now_ms / 1000 - status->started_at_s,
        .heard_ago_ms = status->has_view ? status->view.last_heard_ago_ms : -1,
        .is_ready = status->is_ready,
        .has_control = status->control_address[0] != '\0',
        .is_connected = status->is_connected,
    };
    keep_text(out->version, sizeof out->version, status->version);
    keep_text(out->identity, sizeof out->identity, status->identity);
    keep_text(out->waits_for, sizeof out->waits_for, status->waits_for);
    keep_text(out->log_level, sizeof out->log_level, status->log_level.level);
    return RM_OK;
}

static enum rm_err on_status(void *context, const uint8_t *bytes, size_t length)
{
    return wire_read_sidecar_status(bytes, length, keep_status, context);
}

static enum cli_exit fetch_sidecar(struct top *top)
{
    struct wire_bytes request = {0};
    const struct exchange_question question = {
        .peer = EXCHANGE_SIDECAR,
        .method = "GetStatus",
        .request = &request,
        .on_message = on_status,
        .context = &top->sidecar,
    };
    return exchange_ask(top->args, &question, top->sentence);
}

static enum cli_exit fetch(struct top *top)
{
    const struct connection_filter filter = {
        .service = args_value(top->args, "service"),
        .peer = args_value(top->args, "peer"),
        .text = top->filter,
    };
    struct connection_list list;
    enum cli_exit status = fetch_sidecar(top);
    if (status == CLI_OK) {
        status = connections_fetch(top->args, &filter, &list, top->sentence);
    }
    if (status != CLI_OK) {
        return status; // what was shown stays, with the sentence above it
    }
    uint64_t now_ms = clock_mono_ms();
    connections_rate(&list, &top->list, now_ms - top->fetched_ms);
    connections_deinit(&top->list);
    top->list = list;
    top->fetched_ms = now_ms;
    top->sentence[0] = '\0';
    connections_sort(&top->list, top->order, top->is_reversed);
    return CLI_OK;
}

// --- Keys.

static void scroll_by(struct top *top, long rows)
{
    size_t most = top->list.count > 0 ? top->list.count - 1 : 0;
    long target = (long)top->scroll + rows;
    if (target < 0) {
        target = 0;
    }
    top->scroll = (size_t)target < most ? (size_t)target : most;
}

static bool scroll_on_key(struct top *top, int key)
{
    size_t columns = 0;
    size_t rows = 0;
    terminal_size(&columns, &rows);
    long page = (long)top_page(rows);
    switch (key) {
    case TERMINAL_UP:
        scroll_by(top, -1);
        return true;
    case TERMINAL_DOWN:
        scroll_by(top, 1);
        return true;
    case TERMINAL_PAGE_UP:
        scroll_by(top, -page);
        return true;
    case TERMINAL_PAGE_DOWN:
        scroll_by(top, page);
        return true;
    case TERMINAL_HOME:
        top->scroll = 0;
        return true;
    case TERMINAL_END:
        top->scroll = 0;
        scroll_by(top, (long)top->list.count - page);
        return true;
    default:
        return false;
    }
}

// A key while the filter is being typed. True: the list must be fetched anew.
static bool type_key(struct top *top, int key)
{
    size_t length = strlen(top->filter);
    if (key == TERMINAL_ENTER || key == TERMINAL_ESCAPE) {
        top->is_typing = false;
        if (key == TERMINAL_ESCAPE) {
            top->filter[0] = '\0';
        }
    } else if (key == TERMINAL_BACKSPACE && length > 0) {
        top->filter[length - 1] = '\0';
    } else if (key >= ' ' && key < TERMINAL_BACKSPACE && length + 1 < sizeof top->filter) {
        top->filter[length] = (char)key;
        top->filter[length + 1] = '\0';
    }
    top->scroll = 0;
    return true;
}

static bool order_on_key(struct top *top, int key)
{
    for (const struct connection_order *order = connection_orders; order->name != NULL; order++) {
        if (order->key == key) {
            top->order = order;
            top->is_reversed = false;
            top->scroll = 0;
            connections_sort(&top->list, top->order, top->is_reversed);
            return true;
        }
    }
    return false;
}

static void pace(struct top *top, bool is_slower)
{
    uint64_t next = is_slower ? 2 * top->interval_ms : top->interval_ms / 2;
    if (next >= INTERVAL_MIN_MS && next <= INTERVAL_MAX_MS) {
        top->interval_ms = next;
    }
}

enum key_answer { KEY_DRAW, KEY_FETCH, KEY_QUIT };

static enum key_answer command_key(struct top *top, int key)
{
    switch (key) {
    case 'q':
    case TERMINAL_GONE:
        return KEY_QUIT;
    case ' ':
        top->is_paused = !top->is_paused;
        return top->is_paused ? KEY_DRAW : KEY_FETCH;
    case '/':
        top->is_typing = true;
        return KEY_DRAW;
    case TERMINAL_ESCAPE:
        top->filter[0] = '\0';
        return KEY_FETCH;
    case 'r':
        top->is_reversed = !top->is_reversed;
        connections_sort(&top->list, top->order, top->is_reversed);
        return KEY_DRAW;
    case '+':
    case '-':
        pace(top, key == '+');
        return KEY_DRAW;
    case '?':
    case 'h':
        top->shows_help = true;
        return KEY_DRAW;
    default:
        return KEY_DRAW;
    }
}

static enum key_answer on_key(struct top *top, int key)
{
    if (top->is_typing && key != TERMINAL_GONE) {
        return type_key(top, key) ? KEY_FETCH : KEY_DRAW;
    }
    if (top->shows_help && key != 'q' && key != TERMINAL_GONE) {
        top->shows_help = false;
        return KEY_DRAW;
    }
    if (scroll_on_key(top, key) || order_on_key(top, key)) {
        return KEY_DRAW;
    }
    return command_key(top, key);
}

// --- The loop.

static enum rm_err draw(const struct top *top, struct buffer *out)
{
    size_t columns = 0;
    size_t rows = 0;
    terminal_size(&columns, &rows);
    RM_TRY(top_draw(top, columns, rows, out));
    terminal_draw((const char *)buffer_data(out), buffer_length(out));
    return RM_OK;
}

// Until the next refresh is due; a day when it is not.
static int wait_ms(const struct top *top, uint64_t due_ms)
{
    uint64_t now_ms = clock_mono_ms();
    if (top->is_paused) {
        return 86400000;
    }
    return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static enum rm_err run(struct top *top, struct buffer *out)
{
    enum key_answer answer = KEY_DRAW;
    uint64_t due_ms = clock_mono_ms() + top->interval_ms;
    while (answer != KEY_QUIT) {
        RM_TRY(draw(top, out));
        int key = terminal_key(wait_ms(top, due_ms));
        answer = KEY_DRAW;
        if (key != TERMINAL_NOTHING) {
            answer = on_key(top, key);
        }
        bool is_due = !top->is_paused && clock_mono_ms() >= due_ms;
        if (answer == KEY_FETCH || is_due) {
            (void)fetch(top); // its sentence is drawn
            due_ms = clock_mono_ms() + top->interval_ms;
        }
    }
    return RM_OK;
}

static enum cli_exit show_live(struct top *top)
{
    struct buffer out;
    enum rm_err result = terminal_open();
    if (result == RM_OK) {
        buffer_init(&out, TOP_SCREEN_MAX_BYTES);
        result = run(top, &out);
        buffer_deinit(&out);
        terminal_close();
    }
    return result == RM_OK ? CLI_OK : show_failure(result);
}

static enum cli_exit show_once(struct top *top)
{
    struct buffer out;
    if (top->args->is_json) {
        return connections_print(top->args, &top->list);
    }
    buffer_init(&out, SIZE_MAX / 2);
    enum rm_err result = top_draw(top, PLAIN_COLUMNS, 0, &out);
    if (result == RM_OK) {
        fwrite(buffer_data(&out), 1, buffer_length(&out), stdout);
    }
    buffer_deinit(&out);
    return result == RM_OK ? CLI_OK : show_failure(result);
}

static enum cli_exit read_options(struct top *top)
{
    const char *interval = args_value(top->args, "interval");
    struct rm_error error = {0};
    int64_t interval_ms = INTERVAL_DEFAULT_MS;
    if (interval != NULL && duration_parse(interval, &interval_ms, &error) != RM_OK) {
        fprintf(stderr, "remora: --interval: %s\n", rm_error_message(&error));
        return CLI_USAGE;
    }
    if (interval_ms < INTERVAL_MIN_MS || interval_ms > INTERVAL_MAX_MS) {
        fputs("remora: --interval is 200ms to 1h\n", stderr);
        return CLI_USAGE;
    }
    top->interval_ms = (uint64_t)interval_ms;
    top->is_reversed = args_has(top->args, "reverse");
    if (args_value(top->args, "sort") == NULL) {
        top->order = connection_order_find("rate");
        return CLI_OK;
    }
    return connections_read_order(top->args, &top->order);
}

enum cli_exit top_show(const struct args *args)
{
    struct top top = {.args = args};
    enum cli_exit status = read_options(&top);
    if (status != CLI_OK) {
        return status;
    }
    // Where nobody answers there is nothing to draw; later a sidecar may come back.
    status = fetch(&top);
    if (status != CLI_OK) {
        fprintf(stderr, "remora: %s\n", top.sentence);
        return status;
    }
    status = terminal_is_there() && !args->is_json ? show_live(&top) : show_once(&top);
    connections_deinit(&top.list);
    return status;
}
