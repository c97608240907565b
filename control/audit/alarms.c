// SPDX-License-Identifier: GPL-3.0-or-later
#include "audit/alarms.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static struct alarm list[ALARMS_MAX]; // newest first; the control loop's
static size_t count;                  // entries in list

const char *alarm_kind_name(enum alarm_kind kind)
{
    static const char *const names[] = {
        "lineage_forked", "root_expires", "intermediate_expires", "endpoint_refused",
        "store_replaced", "store_fails",  "test_lifetimes"};
    _Static_assert(sizeof names / sizeof *names == ALARM_KIND_COUNT, "one name for each kind");
    return (size_t)kind < ALARM_KIND_COUNT ? names[kind] : "unknown";
}

const char *alarm_kind_text(enum alarm_kind kind)
{
    static const char *const texts[] = {
#define ALARM_KIND_TEXT(name, text) text,
        ALARM_KIND_LIST(ALARM_KIND_TEXT)
#undef ALARM_KIND_TEXT
    };
    return (size_t)kind < ALARM_KIND_COUNT ? texts[kind] : "unknown";
}

static void drop(size_t index)
{
    memmove(&list[index], &list[index + 1], (count - index - 1) * sizeof *list);
    count--;
}

// An alarm that is there already, taken out of the list; or a new one.
static struct alarm take_or_make(enum alarm_kind kind, const char *text)
{
    struct alarm alarm = {.kind = kind, .first_s = clock_wall_s()};
    snprintf(alarm.text, sizeof alarm.text, "%s", text);
    for (size_t i = 0; i < count; i++) {
        if (list[i].kind == kind && strcmp(list[i].text, alarm.text) == 0) {
            alarm = list[i];
            drop(i);
            return alarm;
        }
    }
    return alarm;
}

void alarms_raise(enum alarm_kind kind, const char *text)
{
    struct alarm alarm = take_or_make(kind, text);
    alarm.last_s = clock_wall_s();
    alarm.count++;
    if (count == ALARMS_MAX) {
        drop(count - 1);
    }
    memmove(&list[1], &list[0], count * sizeof *list);
    list[0] = alarm;
    count++;
    static struct log_limit limit;
    uint64_t suppressed = 0;
    if (log_limit_pass(&limit, &suppressed)) {
        log_error(LOG_AUDIT, "alarm", LOG_STR("kind", alarm_kind_name(kind)), LOG_STR("text", text),
                  LOG_U64("suppressed", suppressed));
    }
}

void alarms_clear(enum alarm_kind kind)
{
    for (size_t i = count; i-- > 0;) {
        if (list[i].kind == kind) {
            drop(i);
        }
    }
}

size_t alarms_count(void)
{
    return count;
}

const struct alarm *alarms_at(size_t index)
{
    return index < count ? &list[index] : NULL;
}
