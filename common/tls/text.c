// SPDX-License-Identifier: GPL-3.0-or-later
//
// A failure in one sentence for people: what happened, what was wanted and found, the likely cause,
// what to do.
#include "tls/tls_internal.h"

void tls_failure_text(const struct tls_failure *failure, char *out, size_t out_bytes)
{
    if (out_bytes == 0) {
        return;
    }
    const struct fault_entry *entry = fault_entry(failure->fault);
    out[0] = '\0';
    tls_explain_add(out, out_bytes, "%s", entry->what);
    if (failure->detail[0] != '\0') {
        tls_explain_add(out, out_bytes, " (%s)", failure->detail);
    }
    tls_explain_add(out, out_bytes, "; likely %s; %s", entry->cause, entry->remedy);
}
