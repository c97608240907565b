// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/config_internal.h"

enum rm_err config_value_check(const struct config_field *field, const char *text,
                               struct rm_error *error)
{
    if (field->check == NULL) {
        return RM_OK;
    }
    struct rm_error reason = {0};
    enum rm_err result = field->check(text, &reason);
    if (result == RM_OK) {
        return RM_OK;
    }
    reason.code = result;
    return rm_error_set(error, RM_ERR_CONFIG, "%s: %s", field->key, rm_error_message(&reason));
}

static enum rm_err value_set_string(const struct config_field *field, char **value,
                                    const char *text, struct rm_error *error)
{
    RM_TRY(config_value_check(field, text, error));
    *value = rm_strdup(text);
    return *value != NULL ? RM_OK
                          : rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for '%s'", field->key);
}

static enum rm_err value_set_bool(const struct config_field *field, bool *value,
                                  const struct config_scalar *scalar, struct rm_error *error)
{
    bool is_true = strcmp(scalar->text, "true") == 0;
    if (!scalar->is_plain || (!is_true && strcmp(scalar->text, "false") != 0)) {
        char shown[CONFIG_SHOWN_BYTES];
        config_show(scalar->text, shown);
        return rm_error_set(error, RM_ERR_CONFIG,
                            "'%s' must be true or false, without quotes, not '%s'", field->key,
                            shown);
    }
    *value = is_true;
    return RM_OK;
}

// Reads decimal digits with an optional sign; *end is what follows. False when there are none, when
// they do not fit, or when a leading zero makes one think of octal numbers.
static bool value_read_digits(const char *text, int64_t *number, const char **end)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (digits[0] < '0' || digits[0] > '9' ||
        (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9')) {
        return false;
    }
    char *stop = NULL;
    errno = 0;
    *number = strtoll(text, &stop, 10);
    *end = stop;
    return errno == 0;
}

static bool value_is_in_range(const struct config_field *field, int64_t number)
{
    return (field->minimum == 0 && field->maximum == 0) ||
           (number >= field->minimum && number <= field->maximum);
}

static enum rm_err value_set_integer(const struct config_field *field, int64_t *value,
                                     const struct config_scalar *scalar, struct rm_error *error)
{
    const char *end = NULL;
    int64_t number = 0;
    if (!scalar->is_plain || !value_read_digits(scalar->text, &number, &end) || *end != '\0') {
        char shown[CONFIG_SHOWN_BYTES];
        config_show(scalar->text, shown);
        return rm_error_set(error, RM_ERR_CONFIG,
                            "'%s' must be a whole decimal number, without quotes, not '%s'",
                            field->key, shown);
    }
    if (!value_is_in_range(field, number)) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "'%s' is %" PRId64 ", but must be from %" PRId64 " to %" PRId64,
                            field->key, number, field->minimum, field->maximum);
    }
    *value = number;
    return RM_OK;
}

static const struct value_unit {
    const char *name; // as written after the number
    int64_t ms;       // of one
} value_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};
#define VALUE_UNIT_COUNT (sizeof(value_units) / sizeof(value_units[0]))

static bool value_read_duration(const char *text, int64_t *ms)
{
    const char *unit = NULL;
    int64_t number = 0;
    if (!value_read_digits(text, &number, &unit)) {
        return false;
    }
    for (size_t i = 0; i < VALUE_UNIT_COUNT; i++) {
        if (strcmp(unit, value_units[i].name) == 0) {
            return !__builtin_mul_overflow(number, value_units[i].ms, ms);
        }
    }
    return false;
}

#define DURATION_SHOWN_BYTES 32

// The shortest spelling without loss, in the language of the file.
static void value_show_duration(int64_t ms, char out[DURATION_SHOWN_BYTES])
{
    size_t unit = VALUE_UNIT_COUNT - 1;
    while (unit > 0 && ms % value_units[unit].ms != 0) {
        unit--;
    }
    // Zero is a multiple of everything, but nobody writes 0d.
    unit = ms == 0 ? 1 : unit;
    snprintf(out, DURATION_SHOWN_BYTES, "%" PRId64 "%s", ms / value_units[unit].ms,
             value_units[unit].name);
}

static enum rm_err value_set_duration(const struct config_field *field, int64_t *value,
                                      const struct config_scalar *scalar, struct rm_error *error)
{
    int64_t ms = 0;
    if (!value_read_duration(scalar->text, &ms)) {
        char shown[CONFIG_SHOWN_BYTES];
        config_show(scalar->text, shown);
        return rm_error_set(error, RM_ERR_CONFIG,
                            "'%s' must be a whole number and a unit (500ms, 20s, 5m, 1h, 30d), "
                            "not '%s'",
                            field->key, shown);
    }
    if (!value_is_in_range(field, ms)) {
        char least[DURATION_SHOWN_BYTES];
        char most[DURATION_SHOWN_BYTES];
        char is[DURATION_SHOWN_BYTES];
        value_show_duration(field->minimum, least);
        value_show_duration(field->maximum, most);
        value_show_duration(ms, is);
        return rm_error_set(error, RM_ERR_CONFIG, "'%s' is %s, but must be from %s to %s",
                            field->key, is, least, most);
    }
    *value = ms;
    return RM_OK;
}

static enum rm_err value_set_choice(const struct config_field *field, int *value, const char *text,
                                    struct rm_error *error)
{
    for (int i = 0; field->choices[i] != NULL; i++) {
        if (strcmp(field->choices[i], text) == 0) {
            *value = i;
            return RM_OK;
        }
    }
    char shown[CONFIG_SHOWN_BYTES];
    char hint[CONFIG_HINT_BYTES];
    config_show(text, shown);
    config_suggest_choice(field->choices, text, hint);
    return rm_error_set(error, RM_ERR_CONFIG, "'%s' cannot be '%s'%s", field->key, shown, hint);
}

enum rm_err config_value_set(const struct config_field *field, void *target,
                             const struct config_scalar *scalar, struct rm_error *error)
{
    void *value = config_target_at(field, target);
    switch (field->type) {
    case CONFIG_STRING:
        return value_set_string(field, value, scalar->text, error);
    case CONFIG_BOOL:
        return value_set_bool(field, value, scalar, error);
    case CONFIG_INTEGER:
        return value_set_integer(field, value, scalar, error);
    case CONFIG_DURATION:
        return value_set_duration(field, value, scalar, error);
    case CONFIG_CHOICE:
        return value_set_choice(field, value, scalar->text, error);
    case CONFIG_STRINGS:
    case CONFIG_SECTION:
    case CONFIG_LIST:
        break;
    }
    return rm_error_set(error, RM_ERR_INTERNAL, "'%s' has no scalar value", field->key);
}
