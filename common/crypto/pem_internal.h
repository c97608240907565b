// SPDX-License-Identifier: GPL-3.0-or-later
//
// PEM (RFC 7468): text blocks that carry DER. A reader walks over the blocks of borrowed text; what
// stands between them is ignored.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pem_block {
    const char *label;   // "CERTIFICATE"; borrowed, not terminated
    size_t label_length; // of label
    const char *body;    // base64 with line breaks; borrowed
    size_t body_length;  // of body
};

struct pem_reader {
    const char *at;  // where to look for the next block
    const char *end; // after the text
};

enum pem_step {
    PEM_BLOCK,  // a block was found
    PEM_END,    // no more blocks
    PEM_BROKEN, // a block begins and does not end, or ends under another label
};

struct pem_reader pem_reader_of(const uint8_t *text, size_t length);
enum pem_step pem_next(struct pem_reader *reader, struct pem_block *out);
bool pem_has_label(const struct pem_block *block, const char *label);
// True when the block has headers (RFC 1421), as keys encrypted the old way do and nothing else we
// read.
bool pem_has_headers(const struct pem_block *block);
// `scratch` and `out` each hold body_length bytes. Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err pem_decode(const struct pem_block *block, char *scratch, uint8_t *out,
                                    size_t *length);
