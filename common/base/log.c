// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_internal.h"

#define LOG_LIMIT_WINDOW_MS 10000U

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const category_names[LOG_CATEGORY_COUNT] = {
#define LOG_CATEGORY_TEXT(name, text) text,
    LOG_CATEGORY_LIST(LOG_CATEGORY_TEXT)
#undef LOG_CATEGORY_TEXT
};

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_int current_format = LOG_FORMAT_AUTO;

static pthread_mutex_t sink_mutex = PTHREAD_MUTEX_INITIALIZER;
static log_sink_fn sink_write; // NULL: standard error and output
static void *sink_context;     // for `sink_write`
static atomic_bool has_sink;   // spares the mutex when there is none

void log_configure(enum log_level level, enum log_format format)
{
    log_level_set(level);
    atomic_store_explicit(&current_format, format, memory_order_relaxed);
}

enum log_level log_level_get(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_level_set(enum log_level level)
{
    atomic_store_explicit(&current_level, level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

enum rm_err log_level_parse(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return RM_OK;
        }
    }
    return RM_ERR_CONFIG;
}

void log_redirect(log_sink_fn sink, void *context)
{
    pthread_mutex_lock(&sink_mutex);
    sink_write = sink;
    sink_context = context;
    atomic_store(&has_sink, sink != NULL);
    pthread_mutex_unlock(&sink_mutex);
}

static bool log_is_json(int descriptor)
{
    int format = atomic_load_explicit(&current_format, memory_order_relaxed);
    if (format == LOG_FORMAT_AUTO) {
        int saved = errno;
        bool is_terminal = isatty(descriptor) == 1;
        errno = saved;
        return !is_terminal;
    }
    return format == LOG_FORMAT_JSON;
}

// True when a sink took the line.
static bool log_send_to_sink(struct log_line *line)
{
    if (!atomic_load(&has_sink)) {
        return false;
    }
    pthread_mutex_lock(&sink_mutex);
    bool is_taken = sink_write != NULL;
    if (is_taken) {
        line->text[line->length - 1] = '\0';
        sink_write(sink_context, line->text);
    }
    pthread_mutex_unlock(&sink_mutex);
    return is_taken;
}

static void log_send(struct log_line *line, int descriptor)
{
    log_line_end(line);
    if (log_send_to_sink(line)) {
        return;
    }
    int saved = errno;
    ssize_t written = 0;
    do {
        written = write(descriptor, line->text, line->length);
    } while (written < 0 && errno == EINTR);
    // A log that cannot be written has nobody to be told about it.
    errno = saved;
}

static void log_put_pairs(struct log_line *line, const struct log_pair *pairs)
{
    for (; pairs != NULL && pairs->key != NULL; pairs++) {
        log_line_pair(line, pairs);
    }
}

void log_write(enum log_level level, enum log_category category, const char *event,
               const struct log_pair *pairs)
{
    if (level < log_level_get()) {
        return;
    }
    struct log_line line;
    log_line_begin(&line, log_is_json(STDERR_FILENO));
    log_line_head(&line, "level", level_names[level]);
    log_line_head(&line, "category", category_names[category]);
    log_line_head(&line, "event", event);
    log_put_pairs(&line, pairs);
    log_send(&line, STDERR_FILENO);
}

void log_access(const struct log_pair *pairs)
{
    struct log_line line;
    log_line_begin(&line, log_is_json(STDOUT_FILENO));
    log_line_head(&line, "category", category_names[LOG_ACCESS]);
    log_put_pairs(&line, pairs);
    log_send(&line, STDOUT_FILENO);
}

bool log_limit_pass(struct log_limit *limit, uint64_t *suppressed)
{
    uint64_t now = clock_mono_ms();
    uint64_t start = __atomic_load_n(&limit->window_start_ms, __ATOMIC_RELAXED);
    // Of several threads that find the window over, one opens the next.
    if (now - start >= LOG_LIMIT_WINDOW_MS &&
        __atomic_compare_exchange_n(&limit->window_start_ms, &start, now, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
        __atomic_store_n(&limit->count, 0, __ATOMIC_RELAXED);
    }
    if (__atomic_add_fetch(&limit->count, 1, __ATOMIC_RELAXED) > LOG_LIMIT_PER_10S) {
        __atomic_add_fetch(&limit->suppressed, 1, __ATOMIC_RELAXED);
        return false;
    }
    *suppressed = __atomic_exchange_n(&limit->suppressed, 0, __ATOMIC_RELAXED);
    return true;
}
