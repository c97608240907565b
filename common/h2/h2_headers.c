// SPDX-License-Identifier: GPL-3.0-or-later
//
// Header blocks. A connection receives one block at a time, so the session has one place for it:
// `block` holds for each field two lengths and the NUL-terminated name and value.
#include <string.h>

#include "base/alloc.h"
#include "h2/h2_internal.h"

#define FIELD_OVERHEAD_BYTES 32                             // RFC 9113 6.5.2
#define MAX_BLOCK_BYTES ((size_t)(4 * H2_MAX_HEADER_BYTES)) // stored form of a block at the limit

struct field_lengths {
    size_t name;  // without NUL
    size_t value; // without NUL
};

void h2_block_begin(struct h2_session *session)
{
    buffer_deinit(&session->block);
    buffer_init(&session->block, MAX_BLOCK_BYTES);
    session->block_bytes = 0;
    session->block_count = 0;
}

enum rm_err h2_block_add(struct h2_session *session, const uint8_t *name, size_t name_length,
                         const uint8_t *value, size_t value_length)
{
    session->block_bytes += name_length + value_length + FIELD_OVERHEAD_BYTES;
    if (session->block_bytes > H2_MAX_HEADER_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    const struct field_lengths lengths = {name_length, value_length};
    uint8_t *at = NULL;
    size_t total = sizeof(lengths) + name_length + value_length + 2;
    RM_TRY(buffer_reserve(&session->block, total, &at));
    memcpy(at, &lengths, sizeof(lengths));
    at += sizeof(lengths);
    memcpy(at, name, name_length);
    at[name_length] = '\0';
    at += name_length + 1;
    memcpy(at, value, value_length);
    at[value_length] = '\0';
    buffer_commit(&session->block, total);
    session->block_count++;
    return RM_OK;
}

static void read_fields(const struct h2_session *session, struct h2_header *fields)
{
    const uint8_t *at = buffer_data(&session->block);
    for (size_t i = 0; i < session->block_count; i++) {
        struct field_lengths lengths;
        memcpy(&lengths, at, sizeof(lengths));
        at += sizeof(lengths);
        fields[i].name = (const char *)at;
        fields[i].name_length = lengths.name;
        at += lengths.name + 1;
        fields[i].value = (const char *)at;
        fields[i].value_length = lengths.value;
        at += lengths.value + 1;
    }
}

static bool is_interim(const struct h2_header *fields, size_t count)
{
    return count > 0 && strcmp(fields[0].name, ":status") == 0 && fields[0].value[0] == '1';
}

static void deliver(struct h2_stream *stream, const struct h2_header *fields, size_t count,
                    bool is_end)
{
    bool is_trailer = stream->remote != H2_REMOTE_HEAD;
    if (!is_trailer && is_interim(fields, count)) {
        return;
    }
    stream->remote = H2_REMOTE_BODY;
    stream->handler->on_headers(stream->handler_context, fields, count, is_trailer, is_end);
}

enum rm_err h2_block_deliver(struct h2_stream *stream, bool is_end)
{
    struct h2_session *session = stream->session;
    size_t count = session->block_count;
    struct h2_header *fields = rm_calloc(count > 0 ? count : 1, sizeof(*fields));
    if (fields == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    read_fields(session, fields);
    deliver(stream, fields, count, is_end);
    rm_free(fields);
    h2_block_begin(session);
    return RM_OK;
}

enum rm_err h2_headers_convert(const struct h2_header *headers, size_t count, nghttp2_nv *out)
{
    if (count > H2_MAX_SEND_HEADERS) {
        return RM_ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] =
            (nghttp2_nv){(uint8_t *)headers[i].name, (uint8_t *)headers[i].value,
                         headers[i].name_length, headers[i].value_length, NGHTTP2_NV_FLAG_NONE};
    }
    return RM_OK;
}

static size_t text_bytes(const struct h2_header *headers, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += headers[i].name_length + headers[i].value_length;
    }
    return total;
}

struct h2_trailers *h2_trailers_new(const struct h2_header *headers, size_t count)
{
    struct h2_trailers *trailers =
        rm_malloc(sizeof(*trailers) + count * sizeof(nghttp2_nv) + text_bytes(headers, count));
    if (trailers == NULL) {
        return NULL;
    }
    trailers->count = count;
    uint8_t *at = (uint8_t *)&trailers->fields[count];
    for (size_t i = 0; i < count; i++) {
        trailers->fields[i] = (nghttp2_nv){at, at + headers[i].name_length, headers[i].name_length,
                                           headers[i].value_length, NGHTTP2_NV_FLAG_NONE};
        memcpy(at, headers[i].name, headers[i].name_length);
        at += headers[i].name_length;
        memcpy(at, headers[i].value, headers[i].value_length);
        at += headers[i].value_length;
    }
    return trailers;
}
