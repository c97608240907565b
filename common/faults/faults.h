// SPDX-License-Identifier: GPL-3.0-or-later
//
// Everything that can go wrong between two workloads, by name: what happened, the likely cause,
// what to do. Log lines, metric labels, the Reply of a tunnel and ERRORS.md all take their words
// from this one table, so a name means the same wherever it is read. Pure and static.
#pragma once

#include <stdbool.h>

enum fault {
#define FAULT(id, name, group, what, cause, remedy) FAULT_##id,
#include "faults/catalogue.def"
#undef FAULT
    FAULT_COUNT,
};

// Sections of the page.
#define FAULT_GROUP_LIST(X)                                                                        \
    X(CERTIFICATE, "Certificates and identities")                                                  \
    X(HANDSHAKE, "Handshakes")                                                                     \
    X(POLICY, "Who may reach what")                                                                \
    X(ENDPOINT, "The way to a service")                                                            \
    X(TUNNEL, "Tunnels and connections")                                                           \
    X(DIAGNOSIS, "What only `remora diagnose` says")                                               \
    X(OURSELVES, "The sidecar itself")

enum fault_group {
#define FAULT_GROUP_ENUM(id, title) FAULT_GROUP_##id,
    FAULT_GROUP_LIST(FAULT_GROUP_ENUM)
#undef FAULT_GROUP_ENUM
        FAULT_GROUP_COUNT,
};

struct fault_entry {
    const char *name;       // lower case with underscores: logs, metric labels, Reply
    enum fault_group group; // section of the page
    const char *what;       // what happened
    const char *cause;      // the likely cause
    const char *remedy;     // what to do
    const char *sentence;   // "<what>; likely <cause>; <remedy>"
};

// Never NULL; INTERNAL's for a value that is none.
const struct fault_entry *fault_entry(enum fault fault);
const char *fault_name(enum fault fault);
const char *fault_sentence(enum fault fault);
const char *fault_group_title(enum fault_group group);
// The fault of a name that came from elsewhere; false when there is none.
bool fault_find(const char *name, enum fault *out);
