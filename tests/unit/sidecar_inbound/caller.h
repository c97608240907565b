// SPDX-License-Identifier: GPL-3.0-or-later
//
// A peer that the test plays by hand, in front of the server of a tunnel_world: its handshake is
// real, what it says afterwards is the test's. Its connection is a stream in memory.
#pragma once

#include "tunnel_world.h"

#include "crypto/crypto.h"
#include "identity/spiffe.h"
#include "inbound/inbound.h"
#include "stream/memory.h"

struct caller {
    struct tunnel_world *world; // borrowed
    struct tls_context *tls;    // owned
    struct end end;             // its TLS; the stream is `party`'s once it is ready
    struct stream *raw;         // its side of the connection while it does not speak TLS; or NULL
    struct party party;         // what it got
};

// The far side goes to the server's worker; the near one is returned.
static inline struct stream *caller_dial(struct caller *caller, struct tunnel_world *world,
                                         bool is_edge)
{
    struct stream *near = NULL;
    struct stream *far = NULL;
    memset(caller, 0, sizeof(*caller));
    caller->world = world;
    world_turns(world->loop, 1); // its idea of now is fresh
    assert_int_equal(memory_stream_pair(world->loop, 65536, &near, &far), RM_OK);
    if (is_edge) {
        inbound_accept_edge(&world->server.worker, far, 0);
    } else {
        inbound_accept(&world->server.worker, far);
    }
    return near;
}

// Connects and says nothing at all.
static inline void caller_stay_silent(struct caller *caller, struct tunnel_world *world)
{
    party_begin(&caller->party, caller_dial(caller, world, false));
}

// Connects; the handshake goes on in the next turns.
static inline void caller_connect(struct caller *caller, struct tunnel_world *world, bool is_edge)
{
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    struct stream *near = caller_dial(caller, world, is_edge);
    assert_int_equal(spiffe_id_parse(SERVER_ID, strlen(SERVER_ID), &id, NULL), RM_OK);
    sha256(id.text, id.length, digest);
    spiffe_sni(&id, digest, sni);
    struct tls_spiffe_profile profile = pki_profile(world->client.identity, world->trust);
    if (is_edge) {
        profile.alpn_count = 0; // any TLS client
        profile.is_alpn_required = false;
    }
    assert_int_equal(tls_context_new_spiffe(&profile, &caller->tls, NULL), RM_OK);
    const struct tls_session_options options = {.tls = caller->tls, .sni = is_edge ? NULL : sni};
    end_connect_with(&caller->end, near, &options);
}

static inline void caller_be_ready(struct caller *caller)
{
    world_until(caller->world->loop, end_is_done, &caller->end);
    assert_int_equal(caller->end.result, RM_OK);
    party_begin(&caller->party, caller->end.stream);
    caller->end.stream = NULL;
}

// Connects, and has shaken hands.
static inline void caller_enter(struct caller *caller, struct tunnel_world *world)
{
    caller_connect(caller, world, false);
    caller_be_ready(caller);
}

static inline void caller_send(struct caller *caller, const void *bytes, size_t length)
{
    size_t written = 0;
    assert_int_equal(stream_write_bytes(caller->party.stream, bytes, length, &written), RM_OK);
    assert_int_equal(written, length);
}

// Asks for a service, with the first bytes of its application right behind.
static inline void caller_ask(struct caller *caller, const char *service, uint16_t port,
                              const char *text)
{
    struct tunnel_connect connect = {.port = port, .connection_id = {1, 2, 3}};
    uint8_t bytes[TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES + 64];
    size_t length = 0;
    (void)snprintf(connect.service, sizeof(connect.service), "%s", service);
    assert_int_equal(tunnel_encode_connect(&connect, bytes, &length), RM_OK);
    memcpy(bytes + length, text, strlen(text));
    caller_send(caller, bytes, length + strlen(text));
}

static inline bool caller_has_ended(void *context)
{
    return ((struct caller *)context)->party.end != RM_OK;
}

static inline enum rm_err caller_end(struct caller *caller)
{
    world_until(caller->world->loop, caller_has_ended, caller);
    return caller->party.end;
}

// What the Reply said; fails the test when there is none.
static inline size_t caller_reply(const struct caller *caller, struct tunnel_reply *reply)
{
    size_t consumed = 0;
    assert_int_equal(tunnel_decode_reply((const uint8_t *)caller->party.bytes, caller->party.length,
                                         reply, &consumed),
                     RM_OK);
    return consumed;
}

static inline void caller_leave(struct caller *caller)
{
    party_close(&caller->party, STREAM_CLOSE_ABORT);
    end_close(&caller->end, STREAM_CLOSE_ABORT);
    tls_context_unref(caller->tls);
    caller->tls = NULL;
}
