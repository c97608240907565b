// SPDX-License-Identifier: GPL-3.0-or-later
//
// Durations and numbers of the command line.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

#define MAX_DURATION_MS (INT64_C(3650) * 86400 * 1000) // ten years: beyond it nobody means it

static int64_t unit_ms(const char *text, size_t *length)
{
    static const struct {
        const char *name; // as written
        int64_t ms;       // one of it
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        *length = strlen(units[i].name);
        if (strncmp(text, units[i].name, *length) == 0) {
            return units[i].ms;
        }
    }
    return 0;
}

static enum rm_err refuse_duration(const char *text, struct rm_error *error)
{
    return rm_error_set(error, RM_ERR_CONFIG,
                        "'%s' is no duration: write it as 90s, 15m, 12h, 7d or 1h30m", text);
}

enum rm_err duration_parse(const char *text, int64_t *out_ms, struct rm_error *error)
{
    int64_t total = 0;
    int64_t last_unit = INT64_MAX;
    for (const char *at = text; at == text || *at != '\0';) {
        size_t digits = strspn(at, "0123456789");
        if (digits == 0) {
            return refuse_duration(text, error);
        }
        int64_t number = strtoll(at, NULL, 10);
        size_t length = 0;
        int64_t unit = unit_ms(at + digits, &length);
        // Each unit once, the larger first: "1h30m", never "30m1h".
        if (unit == 0 || unit >= last_unit || number > MAX_DURATION_MS / unit) {
            return refuse_duration(text, error);
        }
        total += number * unit;
        last_unit = unit;
        at += digits + length;
    }
    if (total == 0 || total > MAX_DURATION_MS) {
        return refuse_duration(text, error);
    }
    *out_ms = total;
    return RM_OK;
}

enum rm_err number_parse(const char *text, int64_t minimum, int64_t maximum, int64_t *out,
                         struct rm_error *error)
{
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    int64_t number = strtoll(text, NULL, 10);
    if (digits == 0 || text[digits] != '\0' || errno != 0 || number < minimum || number > maximum) {
        return rm_error_set(error, RM_ERR_CONFIG, "'%s' is no number from %lld to %lld", text,
                            (long long)minimum, (long long)maximum);
    }
    *out = number;
    return RM_OK;
}
