// SPDX-License-Identifier: GPL-3.0-or-later
//
// What TLS tests stand on: a small PKI made at test time, pairs of TLS sessions over memory
// streams, and a loop that runs until something holds.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/issue.h"
#include "loop/loop.h"
#include "stream/memory.h"
#include "tls/tls.h"

// --- PKI -----------------------------------------------------------------------------------------

#define PKI_DAY_S 86400
#define PKI_MEMORY_BYTES 65536 // of each direction of a memory pair

// A CA with an intermediate, as the control plane keeps them.
struct pki_authority {
    struct private_key *root_key;  // owned
    uint8_t *root;                 // owned DER
    size_t root_length;            // of root
    uint8_t root_id[KEY_ID_BYTES]; // SHA-256 of its SPKI
    struct issuer *root_issuer;    // owned
    uint8_t *middle;               // owned DER: the intermediate
    size_t middle_length;          // of middle
    struct issuer *middle_issuer;  // owned
};
void pki_authority_init(struct pki_authority *authority, const char *domain);
void pki_authority_init_named(struct pki_authority *authority, const char *domain,
                              const char *root_name, const char *middle_name);
void pki_authority_deinit(struct pki_authority *authority);

// How an identity's chain is built.
struct pki_recipe {
    const char *spiffe_id;  // URI SAN
    int64_t not_before_s;   // 0: an hour ago
    int64_t not_after_s;    // 0: in a day
    bool leaves_out_middle; // the intermediate is not sent
    bool sends_root;        // the root is sent behind the intermediate
};
// A chain of fresh leaf and intermediate; the key is given with a reference.
struct chain pki_chain(const struct pki_authority *authority, const struct pki_recipe *recipe,
                       struct private_key **key);
struct tls_identity *pki_identity(const struct pki_authority *authority,
                                  const struct pki_recipe *recipe);
// PEM chain and key, as made by other tools.
struct tls_identity *pki_identity_pem(const char *chain_pem, const char *key_pem);

// Roots of the named domains: pairs of name and authority, ended by NULL.
struct trust_snapshot *pki_trust(const char *domain, const struct pki_authority *authority, ...);

// A context with ALPN "remora/1", client certificates required, no SNI rules.
struct tls_context *pki_context(struct tls_identity *identity, struct trust_snapshot *trust);
// The same profile, to change before tls_context_new_spiffe().
struct tls_spiffe_profile pki_profile(struct tls_identity *identity, struct trust_snapshot *trust);

// A CA that openssl made, with chains of many kinds: see make_foreign_pki.sh. All leaves that have
// one SPIFFE ID have spiffe://td.test/foreign.
struct foreign_pki {
    char folder[64]; // private, temporary
};
void foreign_pki_init(struct foreign_pki *pki);
void foreign_pki_deinit(struct foreign_pki *pki);
struct tls_identity *foreign_pki_identity(const struct foreign_pki *pki, const char *kind);
void foreign_pki_add_root(const struct foreign_pki *pki, struct trust_builder *builder,
                          const char *domain);

// --- The loop ------------------------------------------------------------------------------------

// Runs the loop until `holds(context)` is true; fails the test when it does not within bounds.
typedef bool (*world_fn)(void *context);
void world_until(struct loop *loop, world_fn holds, void *context);
// Runs a few turns, for what must not happen.
void world_turns(struct loop *loop, unsigned int turns);
// Runs until nothing is open, and frees the loop.
void world_end(struct loop *loop);

// --- TLS ends ------------------------------------------------------------------------------------

struct end {
    struct stream *stream;      // TLS; NULL once closed
    bool is_done;               // on_ready came
    enum rm_err result;         // of the handshake
    struct tls_failure failure; // of the handshake
    unsigned events;            // since they were last cleared
    uint32_t event_count;       // of on_event calls
    bool is_closed;             // on_closed came
    const char *greeting;       // written inside on_ready when not NULL
};
void end_on_event(void *context, unsigned events);
void end_accept(struct end *end, struct stream *lower, struct tls_context *tls);
void end_connect(struct end *end, struct stream *lower, struct tls_context *tls);
// The same with options; options->tls is set by the caller.
void end_connect_with(struct end *end, struct stream *lower,
                      const struct tls_session_options *options);
// False, and nothing but RM_ERR_NO_MEMORY, when memory is exhausted.
bool end_try_accept(struct end *end, struct stream *lower,
                    const struct tls_session_options *options);
bool end_try_connect(struct end *end, struct stream *lower,
                     const struct tls_session_options *options);
void end_close(struct end *end, enum stream_close_mode mode);
bool end_is_done(void *end);

// Two TLS ends over memory.
struct pair {
    struct loop *loop; // owned
    struct end client;
    struct end server;
};
// Both handshakes end, well or not.
void pair_init(struct pair *pair, struct tls_context *client, struct tls_context *server);
void pair_init_with(struct pair *pair, const struct tls_session_options *client_options,
                    struct tls_context *server);
// Runs until both ends are done; a good client may still be refused later.
bool pair_is_done(void *pair);
void pair_deinit(struct pair *pair);

// Writes all and asserts that it is taken.
void end_write(struct end *end, const char *text);
// Reads until something other than WOULD_BLOCK comes; text is NUL-terminated.
enum rm_err end_read(struct pair *pair, struct end *end, char *text, size_t text_bytes);

// --- A ready-made world --------------------------------------------------------------------------

#define WORLD_CLIENT_ID "spiffe://td.test/ns/a/sa/client"
#define WORLD_SERVER_ID "spiffe://td.test/ns/a/sa/server"

// One trust domain with a client and a server that trust each other.
struct world {
    struct pki_authority authority;       // of td.test
    struct tls_identity *client_identity; // WORLD_CLIENT_ID
    struct tls_identity *server_identity; // WORLD_SERVER_ID
    struct trust_snapshot *trust;         // td.test alone
    struct tls_context *client;           // plain profile
    struct tls_context *server;           // the same
};
// cmocka group set-up and tear-down; *state is the world.
int world_setup(void **state);
int world_teardown(void **state);
