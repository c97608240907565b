// SPDX-License-Identifier: GPL-3.0-or-later
#include "tls/pace.h"

#include "base/alloc.h"
#include "tls/tls_internal.h"

struct tls_pace {
    struct loop *loop;        // its turns
    struct list waiting;      // struct tls_handshake.paced, first come first
    struct deferred turn;     // scheduled while somebody waits
    tls_pace_full_fn on_full; // the owner's; may be NULL
    void *context;            // for on_full
};

static void pace_on_turn(void *context)
{
    struct tls_pace *pace = context;
    struct list *node;
    for (int i = 0; i < TLS_PACE_STEPS_PER_TURN; i++) {
        node = list_first(&pace->waiting);
        if (node == NULL) {
            return;
        }
        list_remove(node);
        tls_handshake_step(list_entry(node, struct tls_handshake, paced)->session);
    }
    if (list_is_empty(&pace->waiting)) {
        return;
    }
    deferred_schedule(pace->loop, &pace->turn);
    if (pace->on_full != NULL) {
        pace->on_full(pace->context);
    }
}

struct tls_pace *tls_pace_new(struct loop *loop, tls_pace_full_fn on_full, void *context)
{
    struct tls_pace *pace = rm_calloc(1, sizeof(*pace));
    if (pace == NULL) {
        return NULL;
    }
    pace->loop = loop;
    pace->on_full = on_full;
    pace->context = context;
    list_init(&pace->waiting);
    deferred_init(&pace->turn, pace_on_turn, pace);
    return pace;
}

void tls_pace_free(struct tls_pace *pace)
{
    if (pace != NULL) {
        deferred_cancel(&pace->turn);
        rm_free(pace);
    }
}

void tls_pace_step(struct tls_session *session)
{
    struct tls_handshake *handshake = session->handshake;
    if (handshake->pace == NULL) {
        tls_handshake_step(session);
        return;
    }
    if (tls_pace_is_waiting(session)) {
        return;
    }
    list_append(&handshake->pace->waiting, &handshake->paced);
    deferred_schedule(session->base.loop, &handshake->pace->turn);
    tls_session_arm(session);
}

bool tls_pace_is_waiting(const struct tls_session *session)
{
    return session->handshake != NULL && !list_is_empty(&session->handshake->paced);
}
