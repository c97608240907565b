// SPDX-License-Identifier: GPL-3.0-or-later
//
// Structured log lines on standard error: one event per line, key=value pairs, text on a terminal
// and JSON otherwise. Thread-safe. Never log a key, a token or a payload byte. What a peer can
// trigger goes through log_limit_pass().
//
//     log_warn(LOG_TLS, "handshake_failed", LOG_U64("conn", id), LOG_STR("error", name));
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

// The category is the room that speaks.
// clang-format off
#define LOG_CATEGORY_LIST(X)       \
    X(MAIN, "main")                \
    X(CONFIG, "config")            \
    X(LOOP, "loop")                \
    X(TLS, "tls")                  \
    X(RPC, "rpc")                  \
    X(H2, "h2")                    \
    X(CERTS, "certs")              \
    X(INBOUND, "inbound")          \
    X(OUTBOUND, "outbound")        \
    X(DISCOVERY, "discovery")      \
    X(ADMIN, "admin")              \
    X(LOCAL, "local")              \
    X(ACCESS, "access")            \
    X(CA, "ca")                    \
    X(ATTEST, "attest")            \
    X(REGISTRY, "registry")        \
    X(PUSH, "push")                \
    X(API, "api")                  \
    X(STORE, "store")              \
    X(AUDIT, "audit")

enum log_category {
#define LOG_CATEGORY_ENUM(name, text) LOG_##name,
    LOG_CATEGORY_LIST(LOG_CATEGORY_ENUM)
#undef LOG_CATEGORY_ENUM
    LOG_CATEGORY_COUNT,
};
// clang-format on

enum log_value_kind { LOG_VALUE_NONE, LOG_VALUE_STR, LOG_VALUE_U64, LOG_VALUE_I64, LOG_VALUE_BOOL };

struct log_pair {
    const char *key;          // lower_snake_case, a literal
    enum log_value_kind kind; // which member of the value counts
    const char *text;         // borrowed for the call; NULL prints as ""
    uint64_t number;          // U64, BOOL, and the bits of I64
};

#define LOG_STR(key, value) ((struct log_pair){(key), LOG_VALUE_STR, (value), 0})
#define LOG_U64(key, value) ((struct log_pair){(key), LOG_VALUE_U64, NULL, (uint64_t)(value)})
#define LOG_I64(key, value)                                                                        \
    ((struct log_pair){(key), LOG_VALUE_I64, NULL, (uint64_t)(int64_t)(value)})
#define LOG_BOOL(key, value) ((struct log_pair){(key), LOG_VALUE_BOOL, NULL, (value) ? 1U : 0U})
#define LOG_ERR(code) LOG_STR("error", rm_err_name(code))

// Level and format for the process. Default: info, auto (text if standard error is a terminal).
void log_configure(enum log_level level, enum log_format format);
enum log_level log_level_get(void);
void log_level_set(enum log_level level);
// "debug", "info", "warn", "error". Static.
const char *log_level_name(enum log_level level);
// The reverse. Errors: RM_ERR_CONFIG.
RM_NODISCARD enum rm_err log_level_parse(const char *text, enum log_level *out);

// Test hook: lines (without newline) go to `sink` instead of standard error; NULL restores.
typedef void (*log_sink_fn)(void *context, const char *line);
void log_redirect(log_sink_fn sink, void *context);

void log_write(enum log_level level, enum log_category category, const char *event,
               const struct log_pair *pairs);

// The access log shares the writer but neither level nor category: one line on standard output.
void log_access(const struct log_pair *pairs);

#define LOG_AT(level, category, event, ...)                                                        \
    do {                                                                                           \
        if ((level) >= log_level_get()) {                                                          \
            log_write((level), (category), (event),                                                \
                      (const struct log_pair[]){__VA_ARGS__ __VA_OPT__(, ){0}});                   \
        }                                                                                          \
    } while (0)
#define log_debug(category, ...) LOG_AT(LOG_LEVEL_DEBUG, category, __VA_ARGS__)
#define log_info(category, ...) LOG_AT(LOG_LEVEL_INFO, category, __VA_ARGS__)
#define log_warn(category, ...) LOG_AT(LOG_LEVEL_WARN, category, __VA_ARGS__)
#define log_error(category, ...) LOG_AT(LOG_LEVEL_ERROR, category, __VA_ARGS__)

// A token bucket for lines that a peer can trigger. One static instance per log site; thread-safe.
struct log_limit {
    uint64_t window_start_ms; // private
    uint32_t count;           // private
    uint64_t suppressed;      // private
};
#define LOG_LIMIT_PER_10S 20 // lines per site and 10 seconds
// True when the line may be written; *suppressed is how many were left out since the last one.
bool log_limit_pass(struct log_limit *limit, uint64_t *suppressed);
