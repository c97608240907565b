// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a probe reads out of a server's bytes by itself: the hello in clear, which tells what was
// chosen even when the handshake then fails, and the Date of an HTTP answer. Hostile bytes: every
// length is checked against what is there.
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tls/cut_internal.h"
#include "tls/probe_internal.h"

#define RECORD_CHANGE_CIPHER_SPEC 20
#define RECORD_HANDSHAKE 22
#define MESSAGE_SERVER_HELLO 2
#define EXTENSION_SUPPORTED_VERSIONS 43
#define EXTENSION_KEY_SHARE 51
#define HELLO_RANDOM_BYTES 32

// RFC 8446 4.1.3: the random of a HelloRetryRequest is SHA-256("HelloRetryRequest").
static const uint8_t retry_random[HELLO_RANDOM_BYTES] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

// --- ServerHello
// ---------------------------------------------------------------------------------

static void hello_read_extensions(struct cut *list, struct tls_probe_hello *out)
{
    size_t type = 0;
    size_t value = 0;
    struct cut content;
    while (cut_number(list, 2, &type) && cut_block(list, 2, &content)) {
        if (type == EXTENSION_SUPPORTED_VERSIONS && cut_number(&content, 2, &value)) {
            out->version = (uint16_t)value;
        } else if (type == EXTENSION_KEY_SHARE && cut_number(&content, 2, &value)) {
            out->group = (uint16_t)value;
        }
    }
}

// True when it was the last hello: a HelloRetryRequest has another one behind it.
static bool hello_read_message(struct cut *message, struct tls_probe_hello *out)
{
    size_t version = 0;
    size_t suite = 0;
    size_t compression = 0;
    struct cut random;
    struct cut session_id;
    struct cut extensions;
    if (!cut_number(message, 2, &version) || !cut_part(message, HELLO_RANDOM_BYTES, &random) ||
        !cut_block(message, 1, &session_id) || !cut_number(message, 2, &suite) ||
        !cut_number(message, 1, &compression)) {
        return true;
    }
    bool is_retry = memcmp(random.bytes, retry_random, sizeof(retry_random)) == 0;
    out->has_retried = out->has_retried || is_retry;
    out->is_there = !is_retry;
    out->version = (uint16_t)version;
    out->suite = (uint16_t)suite;
    if (cut_block(message, 2, &extensions)) {
        hello_read_extensions(&extensions, out);
    }
    return !is_retry;
}

void tls_probe_read_hello(const uint8_t *bytes, size_t length, struct tls_probe_hello *out)
{
    struct cut all = {bytes, length};
    size_t type = 0;
    size_t version = 0;
    struct cut record;
    *out = (struct tls_probe_hello){0};
    while (cut_number(&all, 1, &type) && cut_number(&all, 2, &version) &&
           cut_block(&all, 2, &record)) {
        size_t kind = 0;
        struct cut message;
        if (type == RECORD_CHANGE_CIPHER_SPEC) {
            continue;
        }
        if (type != RECORD_HANDSHAKE || !cut_number(&record, 1, &kind) ||
            kind != MESSAGE_SERVER_HELLO || !cut_block(&record, 3, &message) ||
            hello_read_message(&message, out)) {
            return;
        }
    }
}

// --- Names
// ---------------------------------------------------------------------------------------

struct number_name {
    uint16_t number;  // IANA's
    const char *name; // IANA's
};

static void name_of(const struct number_name *names, size_t count, uint16_t number,
                    char out[TLS_PROBE_NAME_BYTES])
{
    snprintf(out, TLS_PROBE_NAME_BYTES, "0x%04x", number);
    for (size_t i = 0; i < count; i++) {
        if (names[i].number == number) {
            snprintf(out, TLS_PROBE_NAME_BYTES, "%s", names[i].name);
        }
    }
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void tls_probe_version_name(uint16_t version, char out[TLS_PROBE_NAME_BYTES])
{
    static const struct number_name names[] = {
        {0x0304, "TLSv1.3"}, {0x0303, "TLSv1.2"}, {0x0302, "TLSv1.1"}, {0x0301, "TLSv1.0"}};
    name_of(names, COUNT(names), version, out);
}

void tls_probe_suite_name(uint16_t suite, char out[TLS_PROBE_NAME_BYTES])
{
    static const struct number_name names[] = {{0x1301, "TLS_AES_128_GCM_SHA256"},
                                               {0x1302, "TLS_AES_256_GCM_SHA384"},
                                               {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
                                               {0x1304, "TLS_AES_128_CCM_SHA256"},
                                               {0x1305, "TLS_AES_128_CCM_8_SHA256"}};
    name_of(names, COUNT(names), suite, out);
}

void tls_probe_group_name(uint16_t group, char out[TLS_PROBE_NAME_BYTES])
{
    static const struct number_name names[] = {{0x0017, "secp256r1"}, {0x0018, "secp384r1"},
                                               {0x0019, "secp521r1"}, {0x001d, "x25519"},
                                               {0x001e, "x448"},      {0x11ec, "X25519MLKEM768"}};
    name_of(names, COUNT(names), group, out);
}

// --- HTTP
// ----------------------------------------------------------------------------------------

bool tls_probe_head_is_whole(const char *text)
{
    return strstr(text, "\r\n\r\n") != NULL;
}

int64_t tls_probe_read_date(const char *text)
{
    static const char field[] = "\r\nDate: ";
    if (strncmp(text, "HTTP/1.", 7) != 0) {
        return 0;
    }
    const char *at = strcasestr(text, field);
    struct tm time = {0};
    if (at == NULL || strptime(at + strlen(field), "%a, %d %b %Y %H:%M:%S GMT", &time) == NULL) {
        return 0;
    }
    return (int64_t)timegm(&time);
}
