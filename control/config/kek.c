// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/file.h"
#include "config/control_config.h"
#include "crypto/crypto.h"

#define KEK_HEX_DIGITS ((size_t)CONTROL_KEK_BYTES * 2)

enum rm_err kek_read(const struct control_config *config, struct secret *out,
                     struct rm_error *error)
{
    struct secret file = {0};
    *out = (struct secret){0};
    if (config->is_kek_in_data_dir && access(config->kek_path, F_OK) != 0 && errno == ENOENT) {
        return rm_error_set(error, RM_ERR_NOT_FOUND,
                            "%s is not there: run 'remora-control init' first, or point 'kek_file' "
                            "to the key-encryption key",
                            config->kek_path);
    }
    RM_TRY(file_read_secret(config->kek_path, KEK_HEX_DIGITS + 2, &file, error));
    const char *text = (const char *)file.bytes;
    bool has_newline = file.length == KEK_HEX_DIGITS + 1 && text[KEK_HEX_DIGITS] == '\n';
    enum rm_err result = secret_new(CONTROL_KEK_BYTES, out);
    if (result != RM_OK) {
        rm_error_set(error, result, "out of memory");
    } else if (file.length == CONTROL_KEK_BYTES) {
        memcpy(out->bytes, file.bytes, CONTROL_KEK_BYTES);
    } else if ((file.length != KEK_HEX_DIGITS && !has_newline) ||
               hex_decode(text, KEK_HEX_DIGITS, out->bytes, CONTROL_KEK_BYTES) != RM_OK) {
        result = rm_error_set(error, RM_ERR_CONFIG,
                              "%s holds no key-encryption key: wanted are 64 hex digits or 32 "
                              "bytes",
                              config->kek_path);
    }
    secret_free(&file);
    if (result != RM_OK) {
        secret_free(out);
    }
    return result;
}

enum rm_err kek_make(const struct control_config *config, bool *was_made, struct rm_error *error)
{
    uint8_t key[CONTROL_KEK_BYTES];
    char text[KEK_HEX_DIGITS + 2];
    *was_made = false;
    if (access(config->kek_path, F_OK) == 0) {
        return RM_OK;
    }
    enum rm_err result = random_bytes(key, sizeof key);
    if (result != RM_OK) {
        return rm_error_set(error, result, "the system gives no randomness");
    }
    hex_encode(key, sizeof key, text);
    memcpy(text + KEK_HEX_DIGITS, "\n", 2);
    result = file_write_atomic(config->kek_path, text, KEK_HEX_DIGITS + 1, 0600, error);
    *was_made = result == RM_OK;
    rm_wipe(key, sizeof key);
    rm_wipe(text, sizeof text);
    return result;
}
