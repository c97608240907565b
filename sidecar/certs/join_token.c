// SPDX-License-Identifier: GPL-3.0-or-later
#include "certs/join_token.h"

#include <stdbool.h>
#include <string.h>

#include "base/encode.h"
#include "base/file.h"

static enum rm_err malformed(const char *path, const char *what, struct rm_error *error)
{
    return rm_error_set(
        error, RM_ERR_MALFORMED,
        "%s: this is no join token: %s; expected rmt1.<id>.<secret>.<pins> as printed "
        "by 'remora token create'",
        path, what);
}

// The n-th part between dots.
static const char *part_at(const char *text, int n, size_t *length)
{
    for (; n > 0; n--) {
        text = strchr(text, '.');
        if (text == NULL) {
            return NULL;
        }
        text++;
    }
    *length = strcspn(text, ".");
    return text;
}

static enum rm_err read_pins(const char *path, const char *pins, struct join_token *out,
                             struct rm_error *error)
{
    while (*pins != '\0') {
        size_t length = strcspn(pins, "+");
        uint8_t pin[64];
        size_t pin_length = 0;
        if (out->pin_count == JOIN_TOKEN_MAX_PINS) {
            return malformed(path, "too many pins", error);
        }
        if (length == 0 || length > 80 ||
            base64_decode(pins, length, true, pin, &pin_length) != RM_OK ||
            pin_length != KEY_ID_BYTES) {
            return malformed(path, "a pin is not 32 bytes of base64url", error);
        }
        memcpy(out->pins[out->pin_count++], pin, KEY_ID_BYTES);
        pins += length;
        if (*pins == '+' && *++pins == '\0') {
            return malformed(path, "a pin is missing after '+'", error);
        }
    }
    return RM_OK;
}

// Base64url, the dots between the parts and the plus between pins: nothing else is ever in a token.
static bool has_foreign_byte(const uint8_t *bytes, size_t length)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-_.+";
    for (size_t i = 0; i < length; i++) {
        if (memchr(allowed, bytes[i], sizeof allowed - 1) == NULL) {
            return true;
        }
    }
    return false;
}

static enum rm_err read_parts(const char *path, struct join_token *out, struct rm_error *error)
{
    const char *text = (const char *)out->text.bytes;
    size_t length = 0;
    const char *scheme = part_at(text, 0, &length);
    if (length != 4 || memcmp(scheme, "rmt1", 4) != 0) {
        return malformed(path, "it does not begin with 'rmt1.'", error);
    }
    const char *id = part_at(text, 1, &length);
    if (id == NULL || length == 0) {
        return malformed(path, "the id is missing", error);
    }
    const char *secret = part_at(text, 2, &length);
    if (secret == NULL || length == 0) {
        return malformed(path, "the secret is missing", error);
    }
    const char *pins = part_at(text, 3, &length);
    if (pins == NULL || pins[length] != '\0') {
        return malformed(path, "it does not have four parts", error);
    }
    return read_pins(path, pins, out, error);
}

enum rm_err join_token_read(const char *path, struct join_token *out, struct rm_error *error)
{
    struct secret file = {0};
    memset(out, 0, sizeof *out);
    RM_TRY(file_read_secret(path, JOIN_TOKEN_MAX_BYTES, &file, error));
    size_t length = file.length;
    while (length > 0 && (file.bytes[length - 1] == '\n' || file.bytes[length - 1] == '\r')) {
        length--;
    }
    enum rm_err result = secret_new(length + 1, &out->text);
    if (result == RM_OK) {
        memcpy(out->text.bytes, file.bytes, length);
        result = has_foreign_byte(file.bytes, length)
                     ? malformed(path, "it has a character that no token has", error)
                     : read_parts(path, out, error);
    } else {
        result = rm_error_set(error, result, "out of memory");
    }
    secret_free(&file);
    if (result != RM_OK) {
        join_token_deinit(out);
    }
    return result;
}

void join_token_deinit(struct join_token *token)
{
    secret_free(&token->text);
    memset(token, 0, sizeof *token);
}
