// SPDX-License-Identifier: GPL-3.0-or-later
//
// The audit log: who did what to what. A record travels in the transaction of the deed itself, so
// that neither is durable without the other.
#pragma once

#include "records/transaction.h"

#define AUDIT_KEEP_S (INT64_C(90) * 86400)
#define AUDIT_MAX_TEXT_BYTES 1024 // of one field; longer ones are cut

// Appends the put of an audit record, timed now. `detail` may be NULL. Texts are borrowed for the
// call. Whoever commits logs the deed once it is durable; here it is a debug line.
void audit_record_operation(struct transaction *transaction, const char *action, const char *actor,
                            const char *subject, const char *detail);
// A record on its own, for what was refused: a failure to keep it is logged, not returned.
void audit_refusal(struct store *store, const char *action, const char *actor, const char *subject,
                   const char *detail);
