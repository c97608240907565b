// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/pem_internal.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "crypto/certificate.h"

#define PEM_LINE_CHARS 64 // RFC 7468 2: generators wrap here
#define PEM_LINE_BYTES (PEM_LINE_CHARS / 4 * 3)
#define LABEL_MAX_CHARS 64
#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

struct pem_reader pem_reader_of(const uint8_t *text, size_t length)
{
    const char *start = (const char *)text;
    return (struct pem_reader){.at = start, .end = start + length};
}

static const char *pem_find(const char *at, const char *end, const char *what)
{
    return at == end ? NULL : memmem(at, (size_t)(end - at), what, strlen(what));
}

static bool pem_starts_with(const char *at, const char *end, const char *what, size_t length)
{
    return (size_t)(end - at) >= length && memcmp(at, what, length) == 0;
}

enum pem_step pem_next(struct pem_reader *reader, struct pem_block *out)
{
    const char *begin = pem_find(reader->at, reader->end, BEGIN);
    if (begin == NULL) {
        reader->at = reader->end;
        return PEM_END;
    }
    out->label = begin + strlen(BEGIN);
    const char *label_end = pem_find(out->label, reader->end, DASHES);
    if (label_end == NULL || label_end - out->label > LABEL_MAX_CHARS) {
        return PEM_BROKEN;
    }
    out->label_length = (size_t)(label_end - out->label);
    out->body = label_end + strlen(DASHES);
    const char *body_end = pem_find(out->body, reader->end, DASHES);
    if (body_end == NULL) {
        return PEM_BROKEN;
    }
    out->body_length = (size_t)(body_end - out->body);
    const char *end_label = body_end + strlen(END);
    if (!pem_starts_with(body_end, reader->end, END, strlen(END)) ||
        !pem_starts_with(end_label, reader->end, out->label, out->label_length) ||
        !pem_starts_with(end_label + out->label_length, reader->end, DASHES, strlen(DASHES))) {
        return PEM_BROKEN;
    }
    reader->at = end_label + out->label_length + strlen(DASHES);
    return PEM_BLOCK;
}

bool pem_has_label(const struct pem_block *block, const char *label)
{
    return block->label_length == strlen(label) &&
           memcmp(block->label, label, block->label_length) == 0;
}

bool pem_has_headers(const struct pem_block *block)
{
    return block->body_length > 0 && memchr(block->body, ':', block->body_length) != NULL;
}

enum rm_err pem_decode(const struct pem_block *block, char *scratch, uint8_t *out, size_t *length)
{
    size_t used = 0;
    for (size_t i = 0; i < block->body_length; i++) {
        if (strchr(" \t\r\n\v\f", block->body[i]) == NULL) {
            scratch[used++] = block->body[i];
        } else if (block->body[i] == '\0') {
            return RM_ERR_MALFORMED;
        }
    }
    return used == 0 ? RM_ERR_MALFORMED : base64_decode(scratch, used, false, out, length);
}

static enum rm_err pem_visit(const struct pem_block *block, pem_block_fn visit, void *context,
                             struct rm_error *error)
{
    size_t length = 0;
    char *scratch = rm_malloc(block->body_length);
    uint8_t *der = rm_malloc(block->body_length);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (scratch != NULL && der != NULL) {
        result = pem_decode(block, scratch, der, &length);
        if (result == RM_OK) {
            result = visit(context, der, length);
        } else {
            rm_error_set(error, result, "the text between BEGIN and END is not base64");
        }
    }
    rm_free(scratch);
    rm_free(der);
    return result;
}

// Says which block failed, and at least the code's text when the visitor left no message.
static enum rm_err pem_fail(struct rm_error *error, enum rm_err result, unsigned int number)
{
    if (error != NULL) {
        const char *message = error->code == RM_OK ? rm_err_text(result) : error->message;
        rm_error_set(error, result, "certificate %u: %s", number, message);
    }
    return result;
}

enum rm_err pem_each(const uint8_t *pem, size_t length, pem_block_fn visit, void *context,
                     struct rm_error *error)
{
    struct pem_reader reader = pem_reader_of(pem, length);
    struct pem_block block;
    unsigned int number = 0;
    enum pem_step step = PEM_END;
    if (error != NULL) {
        rm_error_clear(error);
    }
    if (length > BUNDLE_MAX_PEM_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "PEM text of %zu bytes; at most %d are taken",
                            length, BUNDLE_MAX_PEM_BYTES);
    }
    while ((step = pem_next(&reader, &block)) == PEM_BLOCK) {
        if (!pem_has_label(&block, "CERTIFICATE")) {
            continue;
        }
        number++;
        enum rm_err result = pem_visit(&block, visit, context, error);
        if (result != RM_OK) {
            return pem_fail(error, result, number);
        }
    }
    if (step == PEM_BROKEN) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the PEM block after certificate %u does not end", number);
    }
    return number > 0 ? RM_OK
                      : rm_error_set(error, RM_ERR_MALFORMED, "there is no PEM CERTIFICATE block");
}

static enum rm_err pem_append_line(struct buffer *out, const uint8_t *der, size_t length)
{
    char line[BASE64_BYTES(PEM_LINE_BYTES)];
    base64_encode(der, length, false, line);
    return buffer_printf(out, "%s\n", line);
}

enum rm_err pem_append(struct buffer *out, const char *label, const uint8_t *der, size_t length)
{
    RM_TRY(buffer_printf(out, BEGIN "%s" DASHES "\n", label));
    for (size_t at = 0; at < length; at += PEM_LINE_BYTES) {
        size_t part = length - at < PEM_LINE_BYTES ? length - at : PEM_LINE_BYTES;
        RM_TRY(pem_append_line(out, der + at, part));
    }
    return buffer_printf(out, END "%s" DASHES "\n", label);
}
