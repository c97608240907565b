// SPDX-License-Identifier: GPL-3.0-or-later
//
// One question to the control plane or to a sidecar over its Unix socket, and the answer: one
// message, or a stream of them. Blocking: runs a loop of its own until the connection is gone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "args.h"
#include "base/error.h"
#include "cli_wire.h"

#define EXCHANGE_DEFAULT_SOCKET "/var/lib/remora-control/admin.sock"
#define EXCHANGE_SOCKET_VARIABLE "REMORA_ADMIN_SOCKET"
#define EXCHANGE_DEFAULT_SIDECAR_SOCKET "/run/remora/sidecar.sock"
#define EXCHANGE_SIDECAR_SOCKET_VARIABLE "REMORA_SIDECAR_SOCKET"
#define EXCHANGE_SENTENCE_BYTES 2048

enum exchange_peer { EXCHANGE_CONTROL, EXCHANGE_SIDECAR }; // whom to ask

// The path in force: the option's, the variable's, or the default. Borrowed.
const char *exchange_socket_path(const struct args *args, enum exchange_peer peer);

// One message of an answer, borrowed. An error stops the call and is what went wrong.
typedef enum rm_err (*exchange_message_fn)(void *context, const uint8_t *bytes, size_t length);
struct exchange_question {
    enum exchange_peer peer;        // whom to ask
    const char *method;             // of its service
    struct wire_bytes *request;     // taken
    exchange_message_fn on_message; // for each message, at least one when the answer is good
    void *context;                  // for on_message
    bool may_be_empty;              // a stream without a message is an answer, too
};
// Asks, and prints nothing: unless CLI_OK `sentence` says what happened and what to do.
RM_NODISCARD enum cli_exit exchange_ask(const struct args *args,
                                        const struct exchange_question *question,
                                        char sentence[EXCHANGE_SENTENCE_BYTES]);

// The same, and the sentence goes to standard error.
RM_NODISCARD enum cli_exit exchange_stream(const struct args *args,
                                           const struct exchange_question *question);
// Asks the control plane for one message. Takes request->bytes. With CLI_OK *answer is the caller's
// (wire_bytes_deinit); else standard error says why.
RM_NODISCARD enum cli_exit exchange(const struct args *args, const char *method,
                                    struct wire_bytes *request, struct wire_bytes *answer);
// The same of a sidecar.
RM_NODISCARD enum cli_exit exchange_sidecar(const struct args *args, const char *method,
                                            struct wire_bytes *request, struct wire_bytes *answer);
// Wiped, since an answer may hold a token.
void wire_bytes_deinit(struct wire_bytes *bytes);
