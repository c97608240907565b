// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "crypto/certificate.h"

enum rm_err chain_append(struct chain *chain, const uint8_t *der, size_t length)
{
    if (length == 0 || length > CERTIFICATE_MAX_DER_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    if (chain->count == CHAIN_MAX_CERTIFICATES) {
        return RM_ERR_LIMIT;
    }
    uint8_t *copy = rm_memdup(der, length);
    if (copy == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    chain->certificates[chain->count].bytes = copy;
    chain->certificates[chain->count].length = length;
    chain->count++;
    return RM_OK;
}

void chain_deinit(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        rm_free(chain->certificates[i].bytes);
    }
    *chain = (struct chain){0};
}

struct chain_parse {
    struct chain *chain;    // borrowed
    struct rm_error *error; // borrowed; may be NULL
};

// A chain is read once and used for long: each certificate is parsed here, so that a damaged one is
// found and named where it lies and not at a handshake.
static enum rm_err chain_on_block(void *context, const uint8_t *der, size_t length)
{
    struct chain_parse *parse = context;
    struct certificate certificate;
    RM_TRY(certificate_parse(der, length, &certificate, parse->error));
    certificate_deinit(&certificate);
    enum rm_err result = chain_append(parse->chain, der, length);
    if (result == RM_ERR_LIMIT) {
        rm_error_set(parse->error, result, "a chain has at most %d certificates",
                     CHAIN_MAX_CERTIFICATES);
    }
    return result;
}

enum rm_err chain_parse_pem(const uint8_t *pem, size_t length, struct chain *out,
                            struct rm_error *error)
{
    struct chain_parse parse = {.chain = out, .error = error};
    *out = (struct chain){0};
    enum rm_err result = pem_each(pem, length, chain_on_block, &parse, error);
    if (result != RM_OK) {
        chain_deinit(out);
    }
    return result;
}
