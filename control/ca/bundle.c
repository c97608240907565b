// SPDX-License-Identifier: GPL-3.0-or-later
#include "ca/bundle.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"

static bool is_there(const char *path, const struct buffer *wanted)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    if (file_read(path, BUNDLE_MAX_PEM_BYTES, &bytes, &length, NULL) != RM_OK) {
        return false;
    }
    bool is_same =
        length == buffer_length(wanted) && memcmp(bytes, buffer_data(wanted), length) == 0;
    rm_free(bytes);
    return is_same;
}

enum rm_err bundle_write(const char *folder, const struct der *root, struct rm_error *error)
{
    char path[4096];
    struct buffer pem;
    if (snprintf(path, sizeof path, "%s/" BUNDLE_FILE, folder) >= (int)sizeof path) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "the name of the data folder is too long");
    }
    buffer_init(&pem, BUNDLE_MAX_PEM_BYTES);
    enum rm_err result = pem_append(&pem, "CERTIFICATE", root->bytes, root->length);
    if (result != RM_OK) {
        rm_error_set(error, result, "the bundle cannot be made: %s", rm_err_text(result));
    } else if (!is_there(path, &pem)) {
        result = file_write_atomic(path, buffer_data(&pem), buffer_length(&pem), 0644, error);
    }
    buffer_deinit(&pem);
    return result;
}
