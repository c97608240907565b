// SPDX-License-Identifier: GPL-3.0-or-later
#include "tls_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"

#define WORLD_MAX_MS 60000 // of waiting for one thing

// --- PKI -----------------------------------------------------------------------------------------

static void pki_serial(uint8_t serial[ISSUE_SERIAL_BYTES])
{
    assert_int_equal(random_bytes(serial, ISSUE_SERIAL_BYTES), RM_OK);
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x10);
}

static struct authority_request pki_request(const char *domain, const char *name)
{
    struct authority_request request = {
        .trust_domain = domain,
        .common_name = name,
        .not_before_s = clock_wall_s() - 40 * PKI_DAY_S,
        .not_after_s = clock_wall_s() + 300 * PKI_DAY_S,
    };
    pki_serial(request.serial);
    return request;
}

void pki_authority_init(struct pki_authority *authority, const char *domain)
{
    pki_authority_init_named(authority, domain, "Test root", "Test intermediate");
}

void pki_authority_init_named(struct pki_authority *authority, const char *domain,
                              const char *root_name, const char *middle_name)
{
    struct private_key *middle_key = NULL;
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    memset(authority, 0, sizeof(*authority));
    struct authority_request request = pki_request(domain, root_name);
    assert_int_equal(key_generate(&authority->root_key), RM_OK);
    key_id(authority->root_key, authority->root_id);
    assert_int_equal(
        issue_root(authority->root_key, &request, &authority->root, &authority->root_length),
        RM_OK);
    assert_int_equal(issuer_new(authority->root, authority->root_length, authority->root_key,
                                &authority->root_issuer, NULL),
                     RM_OK);
    assert_int_equal(key_generate(&middle_key), RM_OK);
    key_spki(middle_key, &spki, &spki_length);
    request = pki_request(domain, middle_name);
    assert_int_equal(issue_intermediate(authority->root_issuer, spki, spki_length, &request,
                                        &authority->middle, &authority->middle_length),
                     RM_OK);
    assert_int_equal(issuer_new(authority->middle, authority->middle_length, middle_key,
                                &authority->middle_issuer, NULL),
                     RM_OK);
    key_unref(middle_key);
}

void pki_authority_deinit(struct pki_authority *authority)
{
    issuer_unref(authority->middle_issuer);
    issuer_unref(authority->root_issuer);
    key_unref(authority->root_key);
    rm_free(authority->middle);
    rm_free(authority->root);
}

struct chain pki_chain(const struct pki_authority *authority, const struct pki_recipe *recipe,
                       struct private_key **key)
{
    struct chain chain = {0};
    uint8_t *leaf = NULL;
    size_t leaf_length = 0;
    struct leaf_request request = {
        .spiffe_id = recipe->spiffe_id,
        .not_before_s = recipe->not_before_s != 0 ? recipe->not_before_s : clock_wall_s() - 3600,
        .not_after_s = recipe->not_after_s != 0 ? recipe->not_after_s : clock_wall_s() + PKI_DAY_S,
    };
    pki_serial(request.serial);
    assert_int_equal(key_generate(key), RM_OK);
    key_spki(*key, &request.spki, &request.spki_length);
    assert_int_equal(issue_leaf(authority->middle_issuer, &request, &leaf, &leaf_length), RM_OK);
    assert_int_equal(chain_append(&chain, leaf, leaf_length), RM_OK);
    rm_free(leaf);
    if (!recipe->leaves_out_middle) {
        assert_int_equal(chain_append(&chain, authority->middle, authority->middle_length), RM_OK);
    }
    if (recipe->sends_root) {
        assert_int_equal(chain_append(&chain, authority->root, authority->root_length), RM_OK);
    }
    return chain;
}

struct tls_identity *pki_identity(const struct pki_authority *authority,
                                  const struct pki_recipe *recipe)
{
    struct private_key *key = NULL;
    struct tls_identity *identity = NULL;
    struct chain chain = pki_chain(authority, recipe, &key);
    assert_int_equal(tls_identity_new(&chain, key, &identity, NULL), RM_OK);
    key_unref(key);
    return identity;
}

struct tls_identity *pki_identity_pem(const char *chain_pem, const char *key_pem)
{
    struct rm_error error = {0};
    struct chain chain = {0};
    struct private_key *key = NULL;
    struct tls_identity *identity = NULL;
    if (chain_parse_pem((const uint8_t *)chain_pem, strlen(chain_pem), &chain, &error) != RM_OK ||
        key_parse((const uint8_t *)key_pem, strlen(key_pem), &key, &error) != RM_OK ||
        tls_identity_new(&chain, key, &identity, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    key_unref(key);
    return identity;
}

struct trust_snapshot *pki_trust(const char *domain, const struct pki_authority *authority, ...)
{
    struct trust_builder *builder = trust_builder_new();
    va_list args;
    va_start(args, authority);
    while (domain != NULL) {
        assert_int_equal(trust_builder_add_root(builder, domain, authority->root,
                                                authority->root_length, authority->root_id),
                         RM_OK);
        domain = va_arg(args, const char *);
        authority = domain == NULL ? NULL : va_arg(args, const struct pki_authority *);
    }
    va_end(args);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    assert_non_null(trust);
    return trust;
}

struct tls_spiffe_profile pki_profile(struct tls_identity *identity, struct trust_snapshot *trust)
{
    static const char *const alpn[] = {"remora/1"};
    return (struct tls_spiffe_profile){
        .identity = identity,
        .trust = trust,
        .alpn = alpn,
        .alpn_count = 1,
        .is_alpn_required = true,
        .is_client_certificate_required = true,
    };
}

struct tls_context *pki_context(struct tls_identity *identity, struct trust_snapshot *trust)
{
    struct tls_spiffe_profile profile = pki_profile(identity, trust);
    struct tls_context *context = NULL;
    struct rm_error error = {0};
    if (tls_context_new_spiffe(&profile, &context, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    return context;
}

// --- Another maker's PKI -------------------------------------------------------------------------

void foreign_pki_init(struct foreign_pki *pki)
{
    char command[256];
    strcpy(pki->folder, "/tmp/remora-tls-XXXXXX");
    assert_non_null(mkdtemp(pki->folder));
    (void)snprintf(command, sizeof(command), "%s %s", MAKE_FOREIGN_PKI, pki->folder);
    assert_int_equal(system(command), 0);
}

void foreign_pki_deinit(struct foreign_pki *pki)
{
    char command[256];
    (void)snprintf(command, sizeof(command), "rm -r %s", pki->folder);
    assert_int_equal(system(command), 0);
}

static char *foreign_pki_read(const struct foreign_pki *pki, const char *name, const char *suffix)
{
    char path[128];
    uint8_t *bytes = NULL;
    size_t length = 0;
    (void)snprintf(path, sizeof(path), "%s/%s.%s", pki->folder, name, suffix);
    assert_int_equal(file_read(path, 65536, &bytes, &length, NULL), RM_OK);
    return (char *)bytes;
}

struct tls_identity *foreign_pki_identity(const struct foreign_pki *pki, const char *kind)
{
    char *chain = foreign_pki_read(pki, kind, "pem");
    char *key = foreign_pki_read(pki, kind, "key");
    struct tls_identity *identity = pki_identity_pem(chain, key);
    rm_free(chain);
    rm_free(key);
    return identity;
}

// A root on its way into a builder.
struct adding {
    struct trust_builder *builder; // borrowed
    const char *domain;            // borrowed
};

static enum rm_err adding_root(void *context, const uint8_t *der, size_t length)
{
    const struct adding *adding = context;
    uint8_t id[KEY_ID_BYTES];
    assert_int_equal(certificate_key_id(der, length, id), RM_OK);
    return trust_builder_add_root(adding->builder, adding->domain, der, length, id);
}

void foreign_pki_add_root(const struct foreign_pki *pki, struct trust_builder *builder,
                          const char *domain)
{
    struct adding adding = {builder, domain};
    char *root = foreign_pki_read(pki, "root", "pem");
    assert_int_equal(pem_each((const uint8_t *)root, strlen(root), adding_root, &adding, NULL),
                     RM_OK);
    rm_free(root);
}

// --- The loop ------------------------------------------------------------------------------------

struct pause {
    struct loop *loop;       // paused
    struct deferred turn;    // each turn
    world_fn holds;          // NULL: count turns only
    void *context;           // for holds
    unsigned int turns_left; // when holds is NULL
    uint64_t deadline_ms;    // real time
    struct message between;  // delivered when the turn is over
    size_t open_count;       // to give back
    bool is_over;            // holds, or turns are used up
};

static void loop_close_times(struct loop *loop, size_t count)
{
    while (count-- > 0) {
        loop_close(loop);
    }
}

static void loop_open_times(struct loop *loop, size_t count)
{
    while (count-- > 0) {
        loop_open(loop);
    }
}

// loop_run() returns when nothing is open. First it is shown that for a moment, so that libuv ends
// its turn; then again between turns, when nobody else can be in the middle of closing something.
static void pause_between_turns(void *context)
{
    struct pause *pause = context;
    pause->open_count = loop_open_count(pause->loop);
    loop_close_times(pause->loop, pause->open_count);
}

static void pause_loop(struct pause *pause)
{
    size_t count = loop_open_count(pause->loop);
    loop_stop(pause->loop);
    loop_close_times(pause->loop, count);
    loop_open_times(pause->loop, count);
    pause->between = (struct message){.deliver = pause_between_turns, .context = pause};
    loop_post(pause->loop, &pause->between);
}

static void pause_on_turn(void *context)
{
    struct pause *pause = context;
    if (pause->holds != NULL) {
        pause->is_over = pause->holds(pause->context);
    } else {
        pause->is_over = pause->turns_left == 0;
        pause->turns_left -= pause->is_over ? 0 : 1;
    }
    if (pause->is_over || clock_mono_ms() > pause->deadline_ms) {
        pause_loop(pause);
        return;
    }
    deferred_schedule(pause->loop, &pause->turn);
}

static bool pause_run(struct pause *pause)
{
    pause->deadline_ms = clock_mono_ms() + WORLD_MAX_MS;
    deferred_init(&pause->turn, pause_on_turn, pause);
    deferred_schedule(pause->loop, &pause->turn);
    do {
        loop_run(pause->loop); // also returns when the last stream closes
    } while (!pause->is_over && clock_mono_ms() < pause->deadline_ms);
    deferred_cancel(&pause->turn);
    loop_open_times(pause->loop, pause->open_count);
    return pause->is_over;
}

void world_until(struct loop *loop, world_fn holds, void *context)
{
    struct pause pause = {.loop = loop, .holds = holds, .context = context};
    if (!pause_run(&pause)) {
        fail_msg("waited in vain");
    }
}

void world_turns(struct loop *loop, unsigned int turns)
{
    struct pause pause = {.loop = loop, .turns_left = turns};
    assert_true(pause_run(&pause));
}

static bool loop_is_empty(void *context)
{
    return loop_open_count(context) == 0;
}

void world_end(struct loop *loop)
{
    world_until(loop, loop_is_empty, loop);
    assert_int_equal(chunk_lent_count(loop), 0);
    loop_free(loop);
}

// --- TLS ends ------------------------------------------------------------------------------------

void end_on_event(void *context, unsigned events)
{
    struct end *end = context;
    end->events |= events;
    end->event_count++;
}

static void end_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct end *end = context;
    assert_false(end->is_done);
    end->is_done = true;
    end->result = result;
    end->failure = *failure;
    if (result == RM_OK && end->greeting != NULL) {
        end_write(end, end->greeting);
    }
}

static bool end_own(struct end *end, enum rm_err result)
{
    if (result != RM_OK) {
        assert_int_equal(result, RM_ERR_NO_MEMORY);
        assert_null(end->stream);
        return false;
    }
    stream_own(end->stream, end_on_event, end);
    return true;
}

bool end_try_accept(struct end *end, struct stream *lower,
                    const struct tls_session_options *options)
{
    return end_own(end, tls_accept(lower, options, end_on_ready, end, &end->stream));
}

bool end_try_connect(struct end *end, struct stream *lower,
                     const struct tls_session_options *options)
{
    return end_own(end, tls_connect(lower, options, end_on_ready, end, &end->stream));
}

void end_accept(struct end *end, struct stream *lower, struct tls_context *tls)
{
    struct tls_session_options options = {.tls = tls};
    assert_true(end_try_accept(end, lower, &options));
}

void end_connect_with(struct end *end, struct stream *lower,
                      const struct tls_session_options *options)
{
    assert_true(end_try_connect(end, lower, options));
}

void end_connect(struct end *end, struct stream *lower, struct tls_context *tls)
{
    struct tls_session_options options = {.tls = tls};
    end_connect_with(end, lower, &options);
}

static void end_on_closed(void *context)
{
    struct end *end = context;
    assert_false(end->is_closed);
    end->is_closed = true;
}

void end_close(struct end *end, enum stream_close_mode mode)
{
    struct stream *stream = end->stream;
    end->stream = NULL;
    if (stream != NULL) {
        stream_close(stream, mode, end_on_closed, end);
    }
}

bool end_is_done(void *end)
{
    return ((struct end *)end)->is_done;
}

bool pair_is_done(void *context)
{
    struct pair *pair = context;
    return pair->client.is_done && pair->server.is_done;
}

void pair_init_with(struct pair *pair, const struct tls_session_options *client_options,
                    struct tls_context *server)
{
    struct stream *client_lower = NULL;
    struct stream *server_lower = NULL;
    memset(pair, 0, sizeof(*pair));
    pair->loop = loop_new("test");
    assert_non_null(pair->loop);
    assert_int_equal(memory_stream_pair(pair->loop, PKI_MEMORY_BYTES, &client_lower, &server_lower),
                     RM_OK);
    end_connect_with(&pair->client, client_lower, client_options);
    end_accept(&pair->server, server_lower, server);
    world_until(pair->loop, pair_is_done, pair);
}

void pair_init(struct pair *pair, struct tls_context *client, struct tls_context *server)
{
    struct tls_session_options options = {.tls = client};
    pair_init_with(pair, &options, server);
}

void pair_deinit(struct pair *pair)
{
    end_close(&pair->client, STREAM_CLOSE_ABORT);
    end_close(&pair->server, STREAM_CLOSE_ABORT);
    world_end(pair->loop);
}

void end_write(struct end *end, const char *text)
{
    size_t written = 0;
    assert_int_equal(stream_write_bytes(end->stream, text, strlen(text), &written), RM_OK);
    assert_int_equal(written, strlen(text));
}

static bool end_has_event(void *context)
{
    return ((struct end *)context)->events != 0;
}

enum rm_err end_read(struct pair *pair, struct end *end, char *text, size_t text_bytes)
{
    size_t length = 0;
    enum rm_err result;
    while ((result = stream_read(end->stream, (uint8_t *)text, text_bytes - 1, &length)) ==
           RM_ERR_WOULD_BLOCK) {
        end->events = 0;
        stream_want(end->stream, STREAM_READ);
        world_until(pair->loop, end_has_event, end);
    }
    stream_want(end->stream, 0);
    text[result == RM_OK ? length : 0] = '\0';
    return result;
}

// --- A ready-made world --------------------------------------------------------------------------

int world_setup(void **state)
{
    static struct world world;
    assert_int_equal(crypto_init(NULL), RM_OK);
    pki_authority_init(&world.authority, "td.test");
    world.client_identity =
        pki_identity(&world.authority, &(struct pki_recipe){.spiffe_id = WORLD_CLIENT_ID});
    world.server_identity =
        pki_identity(&world.authority, &(struct pki_recipe){.spiffe_id = WORLD_SERVER_ID});
    world.trust = pki_trust("td.test", &world.authority, NULL);
    world.client = pki_context(world.client_identity, world.trust);
    world.server = pki_context(world.server_identity, world.trust);
    *state = &world;
    return 0;
}

int world_teardown(void **state)
{
    struct world *world = *state;
    tls_context_unref(world->client);
    tls_context_unref(world->server);
    tls_identity_unref(world->client_identity);
    tls_identity_unref(world->server_identity);
    trust_unref(world->trust);
    pki_authority_deinit(&world->authority);
    crypto_deinit();
    return 0;
}
