// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a command works at: a loop, the key-encryption key and the store, for the length of one
// errand. Steps are asynchronous; desk_finish() ends the errand.
#pragma once

#include "base/error.h"
#include "base/secret.h"
#include "config/control_config.h"
#include "loop/loop.h"
#include "store/store.h"

struct desk {
    const struct control_config *config; // borrowed
    struct loop *loop;                   // owned
    struct store *store;                 // owned; NULL when not open
    struct secret kek;                   // owned; empty unless it was read
    struct rm_error error;               // why the errand failed
    enum rm_err result;                  // of the errand
};

RM_NODISCARD enum rm_err desk_open(struct desk *desk, const struct control_config *config);
// Both fill desk->error.
RM_NODISCARD enum rm_err desk_open_store(struct desk *desk);
RM_NODISCARD enum rm_err desk_read_kek(struct desk *desk);
// The errand's end, from a callback: closes the store and lets desk_run() return.
void desk_finish(struct desk *desk, enum rm_err result, const struct rm_error *error);
// Runs until desk_finish(). Gives the errand's result.
RM_NODISCARD enum rm_err desk_run(struct desk *desk);
void desk_close(struct desk *desk);
// "remora-control: <message>" on standard error; the exit status for a failure.
int desk_complain(const struct rm_error *error);
