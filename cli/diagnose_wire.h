// SPDX-License-Identifier: GPL-3.0-or-later
//
// Diagnose of remora.sidecar.v1.Local as plain structs, the caller's side; as cli_wire.h.
#pragma once

#include "cli_wire.h"

struct wire_diagnose {
    const char *target;   // "host:port"; NULL: a service is asked for
    const char *service;  // NULL: an address is asked for
    const char *expected; // SPIFFE ID; NULL: any
    const char *sni;      // NULL: the default
    const char *alpn;     // NULL: the default
};
RM_NODISCARD enum rm_err wire_diagnose(const struct wire_diagnose *request, struct wire_bytes *out);

struct wire_diagnose_step {
    const char *name;    // "resolve" ...
    const char *outcome; // "passed" ...
    const char *text;    // for people
    uint64_t took_us;    // 0: no time of its own
    size_t fact_count;   // for wire_diagnose_fact()
    const void *message; // private
};
// Borrowed texts of fact number `index`.
void wire_diagnose_fact(const struct wire_diagnose_step *step, size_t index, const char **key,
                        const char **value);
struct wire_diagnose_finding {
    const char *severity; // "error" ...
    const char *name;     // in ERRORS.md
    const char *what;     // happened
    const char *detail;   // wanted and found; "": none
    const char *cause;    // the likely one
    const char *remedy;   // what to do
};
struct wire_diagnose_visitor {
    enum rm_err (*step)(void *context, const struct wire_diagnose_step *step);
    enum rm_err (*finding)(void *context, const struct wire_diagnose_finding *finding);
    enum rm_err (*end)(void *context, bool is_well);
    void *context; // for all of them
};
// One message of the answer.
RM_NODISCARD enum rm_err wire_read_diagnose(const uint8_t *bytes, size_t length,
                                            const struct wire_diagnose_visitor *visitor);
