// SPDX-License-Identifier: GPL-3.0-or-later
//
// One question to the control plane over its Unix socket, and its answer. Blocking: runs a loop of
// its own until the connection is gone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "args.h"
#include "base/error.h"
#include "cli_wire.h"

#define EXCHANGE_DEFAULT_SOCKET "/var/lib/remora-control/admin.sock"
#define EXCHANGE_SOCKET_VARIABLE "REMORA_ADMIN_SOCKET"

// The path in force: --socket, the variable, or the default. Borrowed.
const char *exchange_socket_path(const struct args *args);

// Calls remora.admin.v1.Admin/<method>. Takes request->bytes. With CLI_OK *answer is the caller's
// (wire_bytes_deinit); else a sentence on standard error says what happened and what to do.
RM_NODISCARD enum cli_exit exchange(const struct args *args, const char *method,
                                    struct wire_bytes *request, struct wire_bytes *answer);
// Wiped, since an answer may hold a token.
void wire_bytes_deinit(struct wire_bytes *bytes);
