// SPDX-License-Identifier: GPL-3.0-or-later
//
// Parts of a sidecar for tests of its rooms: a private folder, files in it, and a configuration
// read from text as the program reads it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/sidecar_config.h"

struct folder {
    char path[64]; // private, temporary
};

static inline void folder_init(struct folder *folder)
{
    strcpy(folder->path, "/tmp/remora-sidecar-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static inline void folder_deinit(struct folder *folder)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", folder->path);
    assert_int_equal(system(command), 0);
}

static inline void folder_path(const struct folder *folder, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s/%s", folder->path, name);
}

// Writes a file of this mode and gives its path.
static inline void folder_write(const struct folder *folder, const char *name, const void *bytes,
                                size_t length, mode_t mode, char path[256])
{
    folder_path(folder, name, path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static inline enum rm_err try_config(const char *yaml, struct sidecar_config **config,
                                     struct rm_error *error)
{
    struct folder folder;
    char path[256];
    folder_init(&folder);
    folder_write(&folder, "x.yaml", yaml, strlen(yaml), 0600, path);
    enum rm_err result = sidecar_config_read(path, config, error);
    folder_deinit(&folder);
    return result;
}

static inline struct sidecar_config *config_of(const char *yaml)
{
    struct sidecar_config *config = NULL;
    struct rm_error error = {0};
    if (try_config(yaml, &config, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    return config;
}
