// SPDX-License-Identifier: GPL-3.0-or-later
//
// A small configuration that has every type once.
#pragma once

#include <string.h>

#include "config/config.h"

struct sample_service {
    char *name;                  // required
    int64_t port;                // 1..65535, required
    struct config_strings allow; // each begins with "spiffe://"
    struct config_place place;   // of the port
};

struct sample_inner {
    int64_t first;  // counted from the section
    int64_t second; // default 2
};

struct sample {
    char *listen;                // default 0.0.0.0:15008
    char *note;                  // no default
    bool is_exposed;             // default false
    int64_t workers;             // 0..64, default 2
    int64_t offset;              // any
    int64_t drain_ms;            // 1s..1h, default 25s
    int64_t lifetime_ms;         // any duration
    int level;                   // debug, info, warn, error; default info
    struct config_list services; // struct sample_service
    struct config_strings tags;  // any text
    struct sample_inner inner;   // a section with an offset
    struct config_place place;   // of the timeouts
};

static inline enum rm_err sample_check_id(const char *text, struct rm_error *error)
{
    if (strncmp(text, "spiffe://", 9) != 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "not a SPIFFE ID");
    }
    return RM_OK;
}

static const char *const sample_levels[] = {"debug", "info", "warn", "error", NULL};

#define SERVICE_AT(member) offsetof(struct sample_service, member)
static const struct config_field sample_service_fields[] = {
    {.key = "name", .type = CONFIG_STRING, .offset = SERVICE_AT(name), .is_required = true},
    {.key = "port",
     .type = CONFIG_INTEGER,
     .offset = SERVICE_AT(port),
     .is_required = true,
     .minimum = 1,
     .maximum = 65535,
     .place_offset = SERVICE_AT(place)},
    {.key = "allow", .type = CONFIG_STRINGS, .offset = SERVICE_AT(allow), .check = sample_check_id},
    {0},
};

#define AT(member) offsetof(struct sample, member)
static const struct config_field sample_timeout_fields[] = {
    {.key = "drain",
     .type = CONFIG_DURATION,
     .offset = AT(drain_ms),
     .initial = "25s",
     .minimum = 1000,
     .maximum = 3600000},
    {.key = "lifetime", .type = CONFIG_DURATION, .offset = AT(lifetime_ms)},
    {0},
};

static const struct config_field sample_inner_fields[] = {
    {.key = "first",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct sample_inner, first),
     .is_required = true},
    {.key = "second",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct sample_inner, second),
     .initial = "2"},
    {0},
};

static const struct config_field sample_fields[] = {
    {.key = "listen", .type = CONFIG_STRING, .offset = AT(listen), .initial = "0.0.0.0:15008"},
    {.key = "note", .type = CONFIG_STRING, .offset = AT(note)},
    {.key = "expose", .type = CONFIG_BOOL, .offset = AT(is_exposed)},
    {.key = "workers",
     .type = CONFIG_INTEGER,
     .offset = AT(workers),
     .initial = "2",
     .minimum = 0,
     .maximum = 64},
    {.key = "offset", .type = CONFIG_INTEGER, .offset = AT(offset)},
    {.key = "level",
     .type = CONFIG_CHOICE,
     .offset = AT(level),
     .initial = "info",
     .choices = sample_levels},
    {.key = "timeouts",
     .type = CONFIG_SECTION,
     .fields = sample_timeout_fields,
     .place_offset = AT(place)},
    {.key = "services",
     .type = CONFIG_LIST,
     .offset = AT(services),
     .fields = sample_service_fields,
     .item_bytes = sizeof(struct sample_service)},
    {.key = "tags", .type = CONFIG_STRINGS, .offset = AT(tags)},
    {.key = "inner", .type = CONFIG_SECTION, .offset = AT(inner), .fields = sample_inner_fields},
    {0},
};

static inline enum rm_err sample_parse(const char *text, struct sample *out, struct rm_error *error)
{
    return config_parse("x.yaml", text, strlen(text), sample_fields, out, sizeof(*out), error);
}
