// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the peer's first message offered (ClientHello, RFC 8446 4.1.2) or chose (ServerHello, 4.1.3;
// HelloRetryRequest, 4.1.4), for the sentence about a handshake that failed over it. Read only
// then, out of the first bytes that were kept; what is cut off there is left out. Nothing here
// decides.
#include <string.h>

#include "tls/cut_internal.h"
#include "tls/probe.h"
#include "tls/tls_internal.h"

#define RECORD_HANDSHAKE 22
#define MESSAGE_CLIENT_HELLO 1
#define MESSAGE_SERVER_HELLO 2
#define EXTENSION_SUPPORTED_GROUPS 10
#define EXTENSION_SUPPORTED_VERSIONS 43
#define EXTENSION_KEY_SHARE 51
#define HELLO_RANDOM_BYTES 32
#define FOUND_MAX_NAMES 5 // in one sentence

// Lists of two-byte numbers, by enum tls_found; empty where nothing is known.
struct hello_lists {
    struct cut lists[3]; // borrowed from the kept bytes
    bool is_client;      // a ClientHello
};

static void hello_take_client(size_t type, struct cut *content, struct hello_lists *out)
{
    struct cut list;
    if (type == EXTENSION_SUPPORTED_VERSIONS && cut_block(content, 1, &list)) {
        out->lists[TLS_FOUND_VERSIONS] = list;
    } else if (type == EXTENSION_SUPPORTED_GROUPS && cut_block(content, 2, &list)) {
        out->lists[TLS_FOUND_GROUPS] = list;
    }
}

static void hello_take_server(size_t type, struct cut *content, struct hello_lists *out)
{
    struct cut one;
    if (type == EXTENSION_SUPPORTED_VERSIONS && cut_part(content, 2, &one)) {
        out->lists[TLS_FOUND_VERSIONS] = one;
    } else if (type == EXTENSION_KEY_SHARE && cut_part(content, 2, &one)) {
        out->lists[TLS_FOUND_GROUPS] = one;
    }
}

static void hello_take_extensions(struct cut *rest, struct hello_lists *out)
{
    size_t length = 0;
    size_t type = 0;
    struct cut content;
    if (!cut_number(rest, 2, &length)) {
        return;
    }
    while (cut_number(rest, 2, &type) && cut_block(rest, 2, &content)) {
        if (out->is_client) {
            hello_take_client(type, &content, out);
        } else {
            hello_take_server(type, &content, out);
        }
    }
}

static bool hello_take_suites(struct cut *rest, struct hello_lists *out)
{
    struct cut ignored;
    size_t compression = 0;
    struct cut *suites = &out->lists[TLS_FOUND_SUITES];
    if (out->is_client) {
        return cut_block(rest, 2, suites) && cut_block(rest, 1, &ignored);
    }
    return cut_part(rest, 2, suites) && cut_number(rest, 1, &compression);
}

// The lengths of record and message are passed over: they may reach beyond what was kept.
static void hello_take(const struct tls_handshake *handshake, struct hello_lists *out)
{
    struct cut rest = {handshake->first, handshake->first_length};
    size_t record = 0;
    size_t kind = 0;
    struct cut ignored;
    *out = (struct hello_lists){0};
    if (!cut_number(&rest, 1, &record) || record != RECORD_HANDSHAKE ||
        !cut_part(&rest, 4, &ignored) || !cut_number(&rest, 1, &kind) ||
        !cut_part(&rest, 3, &ignored) ||
        (kind != MESSAGE_CLIENT_HELLO && kind != MESSAGE_SERVER_HELLO)) {
        return;
    }
    out->is_client = kind == MESSAGE_CLIENT_HELLO;
    // The legacy version counts where no extension says more: RFC 8446 4.2.1.
    if (cut_part(&rest, 2, &out->lists[TLS_FOUND_VERSIONS]) &&
        cut_part(&rest, HELLO_RANDOM_BYTES, &ignored) && cut_block(&rest, 1, &ignored) &&
        hello_take_suites(&rest, out)) {
        hello_take_extensions(&rest, out);
    }
}

bool tls_found_group_is_ours(const struct tls_session *session)
{
    static const size_t ours[] = {0x11ec, 0x001d, 0x0017}; // X25519MLKEM768, x25519, secp256r1
    struct hello_lists hello = {0};
    size_t group = 0;
    if (session->handshake != NULL) {
        hello_take(session->handshake, &hello);
    }
    while (cut_number(&hello.lists[TLS_FOUND_GROUPS], 2, &group)) {
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
            if (group == ours[i]) {
                return true;
            }
        }
    }
    return false;
}

void tls_explain_found(const struct tls_session *session, enum tls_found found, char *out,
                       size_t out_bytes)
{
    static void (*const name_of[])(uint16_t, char[TLS_PROBE_NAME_BYTES]) = {
        [TLS_FOUND_VERSIONS] = tls_probe_version_name,
        [TLS_FOUND_SUITES] = tls_probe_suite_name,
        [TLS_FOUND_GROUPS] = tls_probe_group_name,
    };
    static const char *const wanted[] = {
        [TLS_FOUND_VERSIONS] = "TLSv1.3",
        [TLS_FOUND_SUITES] = "a suite of TLS 1.3: AES-GCM or ChaCha20-Poly1305",
        [TLS_FOUND_GROUPS] = "X25519MLKEM768, x25519 or secp256r1",
    };
    struct hello_lists hello = {0};
    size_t number = 0;
    size_t count = 0;
    if (session->handshake != NULL) {
        hello_take(session->handshake, &hello);
    }
    struct cut list = hello.lists[found];
    tls_explain_add(out, out_bytes, "wanted %s, found", wanted[found]);
    while (count < FOUND_MAX_NAMES && cut_number(&list, 2, &number)) {
        char name[TLS_PROBE_NAME_BYTES];
        name_of[found]((uint16_t)number, name);
        tls_explain_add(out, out_bytes, "%s%s", count == 0 ? " " : ", ", name);
        count++;
    }
    if (list.length > 1) {
        tls_explain_add(out, out_bytes, " and %zu more", list.length / 2);
    }
    tls_explain_add(out, out_bytes, "%s", count == 0 ? " none" : "");
}
