// SPDX-License-Identifier: GPL-3.0-or-later
#include "identity/spiffe.h"

#include <string.h>

#include "base/alloc.h"
#include "base/encode.h"

static const char scheme[] = "spiffe://";
#define SCHEME_LENGTH (sizeof(scheme) - 1)

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// SPIFFE-ID.md 2.1
static bool is_trust_domain_char(char c)
{
    return is_lower_or_digit(c) || c == '.' || c == '-' || c == '_';
}

// SPIFFE-ID.md 2.2
static bool is_path_char(char c)
{
    return is_trust_domain_char(c) || (c >= 'A' && c <= 'Z');
}

static enum rm_err refuse_char(struct rm_error *error, const char *where, char c, size_t offset)
{
    if (c > ' ' && c <= '~') {
        return rm_error_set(error, RM_ERR_MALFORMED, "'%c' is not allowed in a %s (offset %zu)", c,
                            where, offset);
    }
    return rm_error_set(error, RM_ERR_MALFORMED, "byte 0x%02x is not allowed in a %s (offset %zu)",
                        (unsigned)(unsigned char)c, where, offset);
}

// `offset` is where `text` begins within what the person wrote.
static enum rm_err check_trust_domain(const char *text, size_t length, size_t offset,
                                      struct rm_error *error)
{
    if (length == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the trust domain is empty (offset %zu)",
                            offset);
    }
    if (length > SPIFFE_TRUST_DOMAIN_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "the trust domain of %zu bytes is over %d",
                            length, SPIFFE_TRUST_DOMAIN_MAX_BYTES);
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_trust_domain_char(text[i])) {
            return refuse_char(error, "trust domain", text[i], offset + i);
        }
    }
    return RM_OK;
}

static enum rm_err check_segment(const char *text, size_t length, size_t offset,
                                 struct rm_error *error)
{
    if (length == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "empty path segment (offset %zu)", offset);
    }
    if (text[0] == '.' && (length == 1 || (length == 2 && text[1] == '.'))) {
        return rm_error_set(error, RM_ERR_MALFORMED, "path segment '%s' (offset %zu)",
                            length == 1 ? "." : "..", offset);
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_path_char(text[i])) {
            return refuse_char(error, "path", text[i], offset + i);
        }
    }
    return RM_OK;
}

// `path` is empty or begins with '/'.
static enum rm_err check_path(const char *path, size_t length, size_t offset,
                              struct rm_error *error)
{
    size_t at = 0;
    while (at < length) {
        at++;
        const char *slash = memchr(path + at, '/', length - at);
        size_t segment = slash == NULL ? length - at : (size_t)(slash - (path + at));
        RM_TRY(check_segment(path + at, segment, offset + at, error));
        at += segment;
    }
    return RM_OK;
}

enum rm_err spiffe_trust_domain_check(const char *text, size_t length, struct rm_error *error)
{
    return check_trust_domain(text, length, 0, error);
}

enum rm_err spiffe_id_parse(const char *text, size_t length, struct spiffe_id *id,
                            struct rm_error *error)
{
    *id = (struct spiffe_id){0};
    if (length > SPIFFE_ID_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "a SPIFFE ID of %zu bytes is over %d", length,
                            SPIFFE_ID_MAX_BYTES);
    }
    if (text == NULL || length < SCHEME_LENGTH || memcmp(text, scheme, SCHEME_LENGTH) != 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "a SPIFFE ID begins with \"spiffe://\" in lower case (offset 0)");
    }
    const char *domain = text + SCHEME_LENGTH;
    size_t rest = length - SCHEME_LENGTH;
    const char *slash = memchr(domain, '/', rest);
    size_t domain_length = slash == NULL ? rest : (size_t)(slash - domain);
    RM_TRY(check_trust_domain(domain, domain_length, SCHEME_LENGTH, error));
    const char *path = domain + domain_length;
    size_t path_length = rest - domain_length;
    RM_TRY(check_path(path, path_length, SCHEME_LENGTH + domain_length, error));
    *id = (struct spiffe_id){.text = text,
                             .length = length,
                             .trust_domain = domain,
                             .trust_domain_length = domain_length,
                             .path = path,
                             .path_length = path_length};
    return RM_OK;
}

bool spiffe_id_is_reserved(const struct spiffe_id *id)
{
    static const char reserved[] = "/remora";
    const size_t length = sizeof(reserved) - 1;
    return id->path_length >= length && memcmp(id->path, reserved, length) == 0 &&
           (id->path_length == length || id->path[length] == '/');
}

bool spiffe_id_in_domain(const struct spiffe_id *id, const char *trust_domain)
{
    return strlen(trust_domain) == id->trust_domain_length &&
           memcmp(trust_domain, id->trust_domain, id->trust_domain_length) == 0;
}

char *spiffe_control_id(const char *trust_domain)
{
    static const char path[] = "/remora/control";
    size_t domain_length = strlen(trust_domain);
    char *id = rm_malloc(SCHEME_LENGTH + domain_length + sizeof(path));
    if (id == NULL) {
        return NULL;
    }
    memcpy(id, scheme, SCHEME_LENGTH);
    memcpy(id + SCHEME_LENGTH, trust_domain, domain_length);
    memcpy(id + SCHEME_LENGTH + domain_length, path, sizeof(path));
    return id;
}

void spiffe_sni(const struct spiffe_id *id, const uint8_t digest[32], char out[SPIFFE_SNI_BYTES])
{
    char label[BASE32_BYTES(32)];
    base32_encode(digest, 32, label);
    memcpy(out, label, SPIFFE_SNI_LABEL_CHARS);
    out[SPIFFE_SNI_LABEL_CHARS] = '.';
    char *domain = out + SPIFFE_SNI_LABEL_CHARS + 1;
    memcpy(domain, id->trust_domain, id->trust_domain_length);
    domain[id->trust_domain_length] = '\0';
}
