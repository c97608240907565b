// SPDX-License-Identifier: GPL-3.0-or-later
#include "issued.h"

#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/encode.h"
#include "crypto/issue.h"
#include "metrics_catalogue.h"

// --- Time ---

static uint64_t jumped_ms;

static uint64_t later_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + jumped_ms * 1000000;
}

static int64_t later_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + (int64_t)jumped_ms;
}

void scene_jump(struct scene *scene, uint64_t ms)
{
    jumped_ms += ms;
    fake_time_jump(scene->loop, ms);
}

// --- The Identity service: protobuf by hand, so that wrong things can be said, too. ---

static void put_varint(struct buffer *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        assert_int_equal(buffer_append(out, &byte, 1), RM_OK);
        value >>= 7;
    } while (value > 0);
}

static void put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t length)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, length);
    assert_int_equal(buffer_append(out, bytes, length), RM_OK);
}

static void put_number(struct buffer *out, uint32_t field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static uint64_t get_varint(const uint8_t *bytes, size_t length, size_t *at)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < length; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    return value;
}

static struct der csr_of(struct scene *scene, const uint8_t *bytes, size_t length)
{
    struct der csr = {0};
    scene->token[0] = '\0';
    scene->has_rejoin_proof = false;
    scene->has_new_rejoin_key = false;
    for (size_t at = 0; at < length;) {
        uint64_t tag = get_varint(bytes, length, &at);
        uint64_t value = get_varint(bytes, length, &at);
        if ((tag & 7) != 2) {
            continue;
        }
        assert_true(value <= length - at);
        switch (tag >> 3) {
        case 1:
            csr = (struct der){bytes + at, value};
            break;
        case 2:
            (void)snprintf(scene->token, sizeof(scene->token), "%.*s", (int)value,
                           (const char *)bytes + at);
            break;
        case 3:
            scene->has_rejoin_proof = true;
            break;
        case 4:
            scene->has_new_rejoin_key = true;
            break;
        default:
            fail_msg("field %u of the request", (unsigned)(tag >> 3));
        }
        at += value;
    }
    return csr;
}

static void issue(struct scene *scene, const uint8_t *spki, size_t spki_length, struct buffer *out)
{
    const struct pki_authority *authority =
        scene->manners == ISSUE_UNDER_OTHER_CA ? &scene->other : &scene->authority;
    uint8_t *leaf = NULL;
    size_t leaf_length = 0;
    int64_t now_s = clock_wall_s();
    struct leaf_request request = {.spki = spki,
                                   .spki_length = spki_length,
                                   .spiffe_id = HOST_ID,
                                   .not_before_s = now_s - 60,
                                   .not_after_s = now_s + scene->life_s,
                                   .serial = {1}};
    assert_int_equal(random_bytes(request.serial + 1, sizeof(request.serial) - 1), RM_OK);
    assert_int_equal(issue_leaf(authority->middle_issuer, &request, &leaf, &leaf_length), RM_OK);
    put_bytes(out, 1, leaf, leaf_length);
    put_bytes(out, 1, authority->middle, authority->middle_length);
    rm_free(leaf);
    const char *id = scene->manners == ISSUE_FOR_OTHER_ID ? HOST_ID "2" : HOST_ID;
    put_bytes(out, 2, id, strlen(id));
    put_number(out, 3, (uint64_t)now_s);
    put_number(out, 4, (uint64_t)(now_s + scene->life_s));
    struct buffer bundle;
    buffer_init(&bundle, 65536);
    put_bytes(&bundle, 1, "td.test", 7);
    put_bytes(&bundle, 2, scene->authority.root, scene->authority.root_length);
    put_bytes(out, 5, buffer_data(&bundle), buffer_length(&bundle));
    buffer_deinit(&bundle);
    if (scene->registers_rejoin && scene->has_new_rejoin_key) {
        put_number(out, 6, 1);
    }
}

static void answer(struct scene *scene, struct rpc_call *call, const uint8_t *spki,
                   size_t spki_length)
{
    struct buffer out;
    struct private_key *key = NULL;
    buffer_init(&out, 65536);
    if (scene->manners == ISSUE_FOR_OTHER_KEY) {
        assert_int_equal(key_generate(&key), RM_OK);
        key_spki(key, &spki, &spki_length);
    }
    if (scene->manners == ISSUE_SAYS_GARBAGE) {
        put_bytes(&out, 1, "garbage", 7);
    } else if (scene->manners != ISSUE_SAYS_NOTHING) {
        issue(scene, spki, spki_length, &out);
    }
    if (scene->manners != ISSUE_SAYS_NOTHING) {
        assert_int_equal(rpc_call_send(call, buffer_data(&out), buffer_length(&out)), RM_OK);
    }
    rpc_call_end(call, RPC_OK, NULL);
    key_unref(key);
    buffer_deinit(&out);
}

static enum rpc_status issue_on_open(void *context, struct rpc_call *call, const char **text)
{
    (void)text;
    rpc_call_set_context(call, context);
    return RPC_OK;
}

static bool everyone(void *context, const struct peer *peer)
{
    (void)context;
    (void)peer;
    return true;
}

static void issue_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                             size_t length)
{
    struct scene *scene = context;
    uint8_t *spki = NULL;
    size_t spki_length = 0;
    struct der csr = csr_of(scene, bytes, length);
    enum rm_err result = csr_read(csr.bytes, csr.length, &spki, &spki_length, NULL);
    if (result == RM_ERR_NO_MEMORY) {
        rpc_call_end(call, RPC_RESOURCE_EXHAUSTED, NULL);
        return;
    }
    assert_int_equal(result, RM_OK);
    sha256(spki, spki_length, scene->spki_ids[scene->request_count % 16]);
    scene->request_count++;
    scene->is_by_svid = rpc_call_peer(call) != NULL;
    switch (scene->manners) {
    case ISSUE_REFUSES:
        rpc_call_end(call, scene->status, "no, since the test says so");
        break;
    case ISSUE_LOSES_ANSWER:
        rpc_server_close_peers(scene->control.rpc, everyone, NULL);
        break;
    case ISSUE_IS_SILENT:
        scene->waiting = call;
        break;
    case ISSUE_WELL:
    case ISSUE_SAYS_NOTHING:
    case ISSUE_SAYS_GARBAGE:
    case ISSUE_FOR_OTHER_KEY:
    case ISSUE_FOR_OTHER_ID:
    case ISSUE_UNDER_OTHER_CA:
        answer(scene, call, spki, spki_length);
        break;
    }
    rm_free(spki);
}

static void issue_on_half_close(void *context, struct rpc_call *call)
{
    (void)context;
    (void)call;
}

static void issue_on_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    struct scene *scene = context;
    (void)status;
    scene->waiting = scene->waiting == call ? NULL : scene->waiting;
}

static const struct rpc_method methods[] = {
    {
        .path = "/remora.identity.v1.Identity/Issue",
        .on_open = issue_on_open,
        .on_message = issue_on_message,
        .on_half_close = issue_on_half_close,
        .on_close = issue_on_close,
    },
};

// --- The sidecar's side ---

static void scene_on_changed(void *context, struct tls_identity *identity,
                             struct trust_snapshot *trust)
{
    struct scene *scene = context;
    scene->changed_count++;
    assert_non_null(trust);
    (void)snprintf(scene->identity, sizeof(scene->identity), "%s", identity->spiffe_id);
}

void scene_write_token(struct scene *scene, const struct pki_authority *pinned)
{
    char path[256];
    char text[256];
    char pin[BASE64_BYTES(KEY_ID_BYTES)];
    base64_encode(pinned->root_id, KEY_ID_BYTES, true, pin);
    (void)snprintf(text, sizeof(text), "rmt1.0123456789ab.c2VjcmV0.%s\n", pin);
    folder_write(&scene->folder, "token", text, strlen(text), 0600, path);
}

void scene_configure(struct scene *scene, bool has_token, bool has_state)
{
    char yaml[1024];
    char token[256] = "";
    char state[256] = "";
    if (has_token) {
        (void)snprintf(token, sizeof(token), ", join_token_file: '%s/token'", scene->folder.path);
    }
    if (has_state) {
        (void)snprintf(state, sizeof(state), ", state_dir: '%s/state'", scene->folder.path);
    }
    (void)snprintf(yaml, sizeof(yaml),
                   "identity: {control: {address: '%s', trust_domain: td.test%s%s}}\n",
                   scene->control.address, token, state);
    sidecar_config_unref(scene->config);
    scene->config = config_of(yaml);
}

int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    clock_replace(later_mono_ns, later_wall_ms);
    scene->life_s = 3600;
    scene->loop = loop_new("test");
    folder_init(&scene->folder);
    pki_authority_init(&scene->authority, "td.test");
    pki_authority_init(&scene->other, "td.test");
    scene->trust = pki_trust("td.test", &scene->authority, NULL);
    assert_int_equal(resolver_open(scene->loop, &scene->resolver, NULL), RM_OK);
    control_plane_start(&scene->control, scene->loop, &scene->authority, CONTROL_ID, scene->trust);
    assert_int_equal(rpc_server_add(scene->control.rpc, methods, 1, scene), RM_OK);
    scene->metrics = metrics_new(sidecar_metric_catalogue, SIDECAR_METRIC_COUNT);
    scene->metric_set = metrics_set_new(scene->metrics);
    scene_write_token(scene, &scene->authority);
    scene_configure(scene, true, false);
    *state = scene;
    return 0;
}

void scene_start(struct scene *scene)
{
    struct rm_error error = {0};
    if (certs_start(scene->loop, scene->resolver, scene->config, 0, scene->metric_set,
                    scene_on_changed, scene, &scene->certs, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
}

static void scene_on_stopped(void *context)
{
    ((struct scene *)context)->certs = NULL;
}

static bool is_stopped(void *context)
{
    return ((struct scene *)context)->certs == NULL;
}

void scene_stop(struct scene *scene)
{
    if (scene->certs != NULL) {
        certs_stop(scene->certs, scene_on_stopped, scene);
        world_until(scene->loop, is_stopped, scene);
    }
}

int scene_teardown(void **state)
{
    struct scene *scene = *state;
    scene_stop(scene);
    control_plane_stop(&scene->control);
    resolver_close(scene->resolver);
    world_end(scene->loop);
    metrics_free(scene->metrics);
    sidecar_config_unref(scene->config);
    trust_unref(scene->trust);
    pki_authority_deinit(&scene->authority);
    pki_authority_deinit(&scene->other);
    folder_deinit(&scene->folder);
    clock_replace(NULL, NULL);
    free(scene);
    return 0;
}

struct wish {
    struct scene *scene;
    int requests;
    int changes;
    const char *error; // NULL: any
};

static bool has_come(void *context)
{
    const struct wish *wish = context;
    const char *error = certs_status(wish->scene->certs)->last_error;
    return wish->scene->request_count >= wish->requests &&
           wish->scene->changed_count >= wish->changes &&
           (wish->error == NULL || strstr(error, wish->error) != NULL);
}

void expect_requests(struct scene *scene, int count)
{
    struct wish wish = {.scene = scene, .requests = count};
    world_until(scene->loop, has_come, &wish);
    assert_int_equal(scene->request_count, count);
}

void expect_changes(struct scene *scene, int count)
{
    struct wish wish = {.scene = scene, .changes = count};
    world_until(scene->loop, has_come, &wish);
    assert_int_equal(scene->changed_count, count);
}

void expect_error(struct scene *scene, const char *what)
{
    struct wish wish = {.scene = scene, .error = what};
    world_until(scene->loop, has_come, &wish);
}
