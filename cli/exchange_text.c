// SPDX-License-Identifier: GPL-3.0-or-later
//
// What is said of a call that did not come out well: what happened, and what to do.
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "exchange_internal.h"
#include "table.h"

static const struct exchange_words words[] = {
    [EXCHANGE_CONTROL] = {.service = "remora.admin.v1.Admin",
                          .name = "the control plane",
                          .program = "remora-control",
                          .variable = EXCHANGE_SOCKET_VARIABLE,
                          .option = "socket",
                          .default_path = EXCHANGE_DEFAULT_SOCKET,
                          .socket = "admin socket",
                          .setting = "admin_socket",
                          .admitted = "as the control plane's user, or as a member of its admin "
                                      "group"},
    [EXCHANGE_SIDECAR] = {.service = "remora.sidecar.v1.Local",
                          .name = "the sidecar",
                          .program = "remora-sidecar",
                          .variable = EXCHANGE_SIDECAR_SOCKET_VARIABLE,
                          .option = "sidecar-socket",
                          .default_path = EXCHANGE_DEFAULT_SIDECAR_SOCKET,
                          .socket = "local socket",
                          .setting = "local.listen",
                          .admitted = "as the sidecar's user, or as a member of its local.group"},
};

const struct exchange_words *exchange_words_of(enum exchange_peer peer)
{
    return &words[peer];
}

const char *exchange_socket_path(const struct args *args, enum exchange_peer peer)
{
    const char *path = peer == EXCHANGE_CONTROL ? args->socket_path : args->sidecar_socket_path;
    if (path == NULL) {
        path = getenv(words[peer].variable);
    }
    return path != NULL && path[0] != '\0' ? path : words[peer].default_path;
}

static void advise(const struct exchange_words *peer, enum rm_err fault, char *out, size_t room)
{
    switch ((int)fault) {
    case RM_ERR_NOT_FOUND:
        snprintf(out, room, "there is no such socket. Is %s running, and is this its '%s'?",
                 peer->program, peer->setting);
        return;
    case RM_ERR_REFUSED:
        snprintf(out, room, "nobody answers there. Is %s running?", peer->program);
        return;
    case RM_ERR_PERMISSION:
        snprintf(out, room, "no permission to open it. Run this as root, %s", peer->admitted);
        return;
    case RM_ERR_MALFORMED:
        snprintf(out, room, "this cannot be the path of a socket: too long, or malformed");
        return;
    case RM_ERR_BUSY:
    case RM_ERR_TIMEOUT:
        snprintf(out, room,
                 "it does not answer in time. Is %s overloaded or stopped? See --timeout",
                 peer->program);
        return;
    case RM_ERR_NO_MEMORY:
        snprintf(out, room, "out of memory");
        return;
    default:
        snprintf(out, room,
                 "the connection ended before the answer. Is this the %s of a running %s?",
                 peer->socket, peer->program);
    }
}

static enum cli_exit say_unreachable(const struct args *args, enum exchange_peer peer,
                                     enum rm_err fault, char sentence[EXCHANGE_SENTENCE_BYTES])
{
    char advice[512];
    advise(&words[peer], fault, advice, sizeof advice);
    snprintf(sentence, EXCHANGE_SENTENCE_BYTES,
             "%s cannot be reached at %s: %s (--%s PATH or $%s names another one)",
             words[peer].name, exchange_socket_path(args, peer), advice, words[peer].option,
             words[peer].variable);
    return CLI_UNREACHABLE;
}

// A method that is not known there: what listens is older than we are, or something else.
static void say_unknown(const struct args *args, const struct exchange_question *question,
                        char sentence[EXCHANGE_SENTENCE_BYTES])
{
    const struct exchange_words *peer = &words[question->peer];
    snprintf(sentence, EXCHANGE_SENTENCE_BYTES,
             "what answers at %s does not know '%s': it is an older %s than this command (compare "
             "'%s --version' with 'remora --version'), or not the socket of %s",
             exchange_socket_path(args, question->peer), question->method, peer->program,
             peer->program, peer->name);
}

static void say_refused(const struct exchange_outcome *outcome,
                        char sentence[EXCHANGE_SENTENCE_BYTES])
{
    const char *name = rpc_status_name(outcome->status);
    char *safe = printable_dup(outcome->text[0] != '\0' ? outcome->text : name);
    snprintf(sentence, EXCHANGE_SENTENCE_BYTES, "%s", safe != NULL ? safe : name);
    rm_free(safe);
}

enum cli_exit exchange_conclude(const struct args *args, const struct exchange_question *question,
                                const struct exchange_outcome *outcome,
                                char sentence[EXCHANGE_SENTENCE_BYTES])
{
    const struct exchange_words *peer = &words[question->peer];
    if (outcome->fault != RM_OK) {
        return say_unreachable(args, question->peer, outcome->fault, sentence);
    }
    if (outcome->told == RM_ERR_MALFORMED) {
        snprintf(sentence, EXCHANGE_SENTENCE_BYTES,
                 "the answer of %s cannot be read: are both of one version?", peer->name);
        return CLI_REFUSED;
    }
    if (outcome->told != RM_OK) {
        snprintf(sentence, EXCHANGE_SENTENCE_BYTES, "%s", rm_err_text(outcome->told));
        return CLI_REFUSED;
    }
    if (outcome->status == RPC_DEADLINE_EXCEEDED) {
        return say_unreachable(args, question->peer, RM_ERR_TIMEOUT, sentence);
    }
    if (outcome->status == RPC_UNIMPLEMENTED) {
        say_unknown(args, question, sentence);
        return CLI_REFUSED;
    }
    if (outcome->status != RPC_OK) {
        say_refused(outcome, sentence);
        return CLI_REFUSED;
    }
    if (!outcome->has_message && !question->may_be_empty) {
        snprintf(sentence, EXCHANGE_SENTENCE_BYTES, "the answer of %s holds nothing", peer->name);
        return CLI_REFUSED;
    }
    return CLI_OK;
}
