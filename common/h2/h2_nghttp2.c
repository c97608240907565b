// SPDX-License-Identifier: GPL-3.0-or-later
//
// Makes nghttp2 sessions: our allocator, our limits, our settings.
#include "base/alloc.h"
#include "h2/h2_internal.h"

#define MAX_OUTBOUND_ACKS 1000  // answers to PING and SETTINGS that the peer does not read
#define MAX_SETTINGS_ENTRIES 32 // in one SETTINGS frame
#define MAX_CONTINUATIONS 8     // after one HEADERS frame (CVE-2024-28182)
#define RESET_BURST (2 * H2_RAPID_RESET_PER_S) // nghttp2's own limiter, behind ours

static void *ng_malloc(size_t size, void *context)
{
    (void)context;
    return rm_malloc(size);
}

static void ng_free(void *block, void *context)
{
    (void)context;
    rm_free(block);
}

static void *ng_calloc(size_t count, size_t size, void *context)
{
    (void)context;
    return rm_calloc(count, size);
}

static void *ng_realloc(void *block, size_t size, void *context)
{
    (void)context;
    return rm_realloc(block, size);
}

enum rm_err h2_err_from_nghttp2(int code)
{
    switch (code) {
    case 0:
        return RM_OK;
    case NGHTTP2_ERR_NOMEM:
        return RM_ERR_NO_MEMORY;
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        return RM_ERR_LIMIT;
    case NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE:
        return RM_ERR_CLOSED;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
    case NGHTTP2_ERR_PROTO:
        return RM_ERR_PROTOCOL;
    default:
        return RM_ERR_INTERNAL;
    }
}

static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, H2_MAX_STREAMS);
    nghttp2_option_set_max_outbound_ack(option, MAX_OUTBOUND_ACKS);
    nghttp2_option_set_max_settings(option, MAX_SETTINGS_ENTRIES);
    nghttp2_option_set_max_continuations(option, MAX_CONTINUATIONS);
    nghttp2_option_set_stream_reset_rate_limit(option, RESET_BURST, H2_RAPID_RESET_PER_S);
    nghttp2_option_set_no_closed_streams(option, 1);
}

static int make_session(struct h2_session *session, const nghttp2_session_callbacks *callbacks)
{
    nghttp2_mem memory = {NULL, ng_malloc, ng_free, ng_calloc, ng_realloc};
    nghttp2_option *option = NULL;
    int result = nghttp2_option_new(&option);
    if (result != 0) {
        return result;
    }
    set_options(option);
    result = session->is_server
                 ? nghttp2_session_server_new3(&session->ng, callbacks, session, option, &memory)
                 : nghttp2_session_client_new3(&session->ng, callbacks, session, option, &memory);
    nghttp2_option_del(option);
    return result;
}

// NO_RFC7540_PRIORITIES stays unset: with it, nghttp2 1.52 frees a frame twice when memory runs out
// (session_attach_stream_item). Without it all streams share a connection evenly just as well.
static int submit_settings(struct h2_session *session)
{
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_MAX_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_MAX_HEADER_BYTES},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    size_t count = sizeof(entries) / sizeof(entries[0]);
    size_t sent = session->is_server ? count - 1 : count; // only a client speaks of push
    int result = nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, entries, sent);
    if (result != 0) {
        return result;
    }
    return nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0,
                                                 H2_SESSION_WINDOW_BYTES);
}

enum rm_err h2_nghttp2_new(struct h2_session *session)
{
    nghttp2_session_callbacks *callbacks = NULL;
    int result = nghttp2_session_callbacks_new(&callbacks);
    if (result != 0) {
        return h2_err_from_nghttp2(result);
    }
    h2_callbacks_set(callbacks);
    result = make_session(session, callbacks);
    nghttp2_session_callbacks_del(callbacks);
    if (result != 0) {
        session->ng = NULL;
        return h2_err_from_nghttp2(result);
    }
    result = submit_settings(session);
    if (result != 0) {
        nghttp2_session_del(session->ng);
        session->ng = NULL;
    }
    return h2_err_from_nghttp2(result);
}
