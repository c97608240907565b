// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exchange.h"
#include "rpc/rpc.h"

struct exchange_words {
    const char *service;      // of its methods
    const char *name;         // "the control plane"
    const char *program;      // that listens
    const char *variable;     // that names the socket
    const char *option;       // that does, without its dashes
    const char *default_path; // where nothing does
    const char *socket;       // what kind
    const char *setting;      // of the program's configuration
    const char *admitted;     // who may use it
};
// Static.
const struct exchange_words *exchange_words_of(enum exchange_peer peer);

struct exchange_outcome {
    enum rm_err fault;      // there is no answer at all; RM_OK: there is a status
    enum rpc_status status; // of the call
    enum rm_err told;       // why a message was refused by us; RM_OK: none was
    bool has_message;       // at least one came
    const char *text;       // the server's sentence
};
// What to make of it: the exit status, and the sentence unless that is CLI_OK.
enum cli_exit exchange_conclude(const struct args *args, const struct exchange_question *question,
                                const struct exchange_outcome *outcome,
                                char sentence[EXCHANGE_SENTENCE_BYTES]);
