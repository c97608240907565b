// SPDX-License-Identifier: GPL-3.0-or-later
//
// Health and metrics over HTTP: /healthz/ready (says what it waits for), /healthz/live, /metrics.
// Belongs to the main loop. The two listeners serve nothing else, and nothing secret.
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "config/sidecar_config.h"
#include "loop/loop.h"
#include "metrics/metrics.h"

struct admin;

// What readiness waits for; empty text: ready.
#define ADMIN_REASON_BYTES 768
typedef bool (*admin_ready_fn)(void *context, char reason[ADMIN_REASON_BYTES]);

RM_NODISCARD enum rm_err admin_open(struct loop *loop, const struct sidecar_config *config,
                                    struct metrics *metrics, admin_ready_fn is_ready, void *context,
                                    struct admin **out, struct rm_error *error);
// A reload in two phases: prepare opens what is new beside the old, or changes nothing; commit
// closes what is gone, undo what is new.
RM_NODISCARD enum rm_err admin_prepare(struct admin *admin, const struct sidecar_config *config,
                                       struct rm_error *error);
void admin_commit(struct admin *admin);
void admin_undo(struct admin *admin);
void admin_close(struct admin *admin);
