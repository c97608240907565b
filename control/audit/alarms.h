// SPDX-License-Identifier: GPL-3.0-or-later
//
// Alarms: what an operator should look at (a forked lineage, a root near its end, a refused
// registration). One bounded list per process, shown by Admin.GetStatus; each alarm is also an
// error line in the log. Belongs to the control loop's thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ALARMS_MAX 64        // older ones are dropped; the log and the audit records keep them
#define ALARM_TEXT_BYTES 512 // with its NUL; longer texts are cut

// kind, what it is about. The name in lower case stands in the log.
#define ALARM_KIND_LIST(X)                                                                         \
    X(LINEAGE_FORKED, "two keys renewed one certificate")                                          \
    X(ROOT_EXPIRES, "the root certificate nears its end")                                          \
    X(INTERMEDIATE_EXPIRES, "the intermediate certificate nears its end")                          \
    X(ENDPOINT_REFUSED, "a workload tried to register what is not its own")                        \
    X(STORE_REPLACED, "the store is a new one: sidecars resync")                                   \
    X(STORE_FAILS, "the store does not accept writes")                                             \
    X(TEST_LIFETIMES, "certificates may live shorter than is safe")

enum alarm_kind {
#define ALARM_KIND_ENUM(name, text) ALARM_##name,
    ALARM_KIND_LIST(ALARM_KIND_ENUM)
#undef ALARM_KIND_ENUM
        ALARM_KIND_COUNT,
};
const char *alarm_kind_name(enum alarm_kind kind);
const char *alarm_kind_text(enum alarm_kind kind);

struct alarm {
    enum alarm_kind kind;        // what about
    int64_t first_s;             // Unix seconds of the first occurrence
    int64_t last_s;              // of the last one
    uint64_t count;              // occurrences
    char text[ALARM_TEXT_BYTES]; // one sentence
};

// Copies `text`. The same kind and text again only counts; it moves to the front.
void alarms_raise(enum alarm_kind kind, const char *text);
// Takes back every alarm of this kind (the cause is gone).
void alarms_clear(enum alarm_kind kind);
size_t alarms_count(void);
// Newest first; NULL past the end. Borrowed until the next call that changes the list.
const struct alarm *alarms_at(size_t index);
