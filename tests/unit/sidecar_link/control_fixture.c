// SPDX-License-Identifier: GPL-3.0-or-later
#include "control_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct handshake {
    struct list node;
    struct control_plane *control;
    struct stream *stream;
};

static void handshake_free(struct handshake *handshake)
{
    list_remove(&handshake->node);
    free(handshake);
}

static void handshake_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct handshake *handshake = context;
    (void)failure;
    if (result != RM_OK) {
        stream_close(handshake->stream, STREAM_CLOSE_ABORT, NULL, NULL);
    } else {
        // Without memory the connection is gone, which is an end like any other.
        enum rm_err ignored = rpc_server_accept(handshake->control->rpc, handshake->stream);
        (void)ignored;
    }
    handshake_free(handshake);
}

static void control_on_accept(void *context, struct stream *stream)
{
    struct control_plane *control = context;
    control->accepted_count++;
    if (control->never_shakes_hands) {
        assert_true(control->silent_count < 8);
        control->silent[control->silent_count++] = stream;
        return;
    }
    struct handshake *handshake = calloc(1, sizeof(*handshake));
    assert_non_null(handshake);
    handshake->control = control;
    list_append(&control->handshakes, &handshake->node);
    struct tls_session_options options = {.tls = control->tls};
    if (tls_accept(stream, &options, handshake_on_ready, handshake, &handshake->stream) != RM_OK) {
        handshake_free(handshake); // no memory
    }
}

void control_plane_start(struct control_plane *control, struct loop *loop,
                         const struct pki_authority *authority, const char *id,
                         struct trust_snapshot *trust)
{
    static const char *const alpn[] = {"h2"};
    memset(control, 0, sizeof(*control));
    control->loop = loop;
    list_init(&control->handshakes);
    struct tls_identity *identity =
        pki_identity(authority, &(struct pki_recipe){.spiffe_id = id, .sends_root = true});
    struct tls_spiffe_profile profile = {.identity = identity,
                                         .trust = trust,
                                         .alpn = alpn,
                                         .alpn_count = 1,
                                         .is_alpn_required = true};
    assert_int_equal(tls_context_new_spiffe(&profile, &control->tls, NULL), RM_OK);
    tls_identity_unref(identity);
    control->rpc = rpc_server_new(loop);
    assert_non_null(control->rpc);
    struct listener_options options = {.unix_uid = -1, .unix_gid = -1};
    assert_int_equal(socket_address_parse("127.0.0.1:0", &options.address, NULL), RM_OK);
    assert_int_equal(
        listener_open(loop, &options, control_on_accept, control, &control->listener, NULL), RM_OK);
    char text[STREAM_ADDRESS_TEXT_BYTES];
    stream_address_text(listener_address(control->listener), text);
    (void)snprintf(control->address, sizeof(control->address), "%.31s", text);
}

static void control_on_drained(void *context)
{
    struct control_plane *control = context;
    rpc_server_free(control->rpc);
    control->rpc = NULL;
}

static bool is_drained(void *context)
{
    return ((struct control_plane *)context)->rpc == NULL;
}

static bool has_no_handshake(void *context)
{
    return list_is_empty(&((struct control_plane *)context)->handshakes);
}

void control_plane_stop(struct control_plane *control)
{
    listener_close(control->listener, false);
    for (size_t i = 0; i < control->silent_count; i++) {
        stream_close(control->silent[i], STREAM_CLOSE_ABORT, NULL, NULL);
    }
    world_until(control->loop, has_no_handshake, control);
    rpc_server_drain(control->rpc, 0, control_on_drained, control);
    world_until(control->loop, is_drained, control);
    tls_context_unref(control->tls);
}
