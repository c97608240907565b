// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "ca/authority.h"
#include "ca/bundle.h"
#include "command/command.h"
#include "command/desk.h"

static void on_loaded(void *context, enum rm_err result, struct authority *authority,
                      const struct rm_error *load_error)
{
    struct desk *desk = context;
    struct rm_error error = {0};
    if (result != RM_OK) {
        desk_finish(desk, result, load_error);
        return;
    }
    result = bundle_write(desk->config->data_dir, authority_root(authority), &error);
    authority_close(authority);
    desk_finish(desk, result, &error);
}

static void on_imported(void *context, enum rm_err result, const char *csr_pem,
                        const struct rm_error *import_error)
{
    struct desk *desk = context;
    struct rm_error error = {0};
    (void)csr_pem;
    if (result != RM_OK) {
        desk_finish(desk, result, import_error);
        return;
    }
    result = authority_load(desk->loop, desk->store, desk->config->trust_domain, &desk->kek,
                            on_loaded, desk);
    if (result != RM_OK) {
        rm_error_set(&error, result, "out of memory");
        desk_finish(desk, result, &error);
    }
}

static enum rm_err start(struct desk *desk, const char *chain_path)
{
    uint8_t *pem = NULL;
    size_t length = 0;
    RM_TRY(file_read(chain_path, BUNDLE_MAX_PEM_BYTES, &pem, &length, &desk->error));
    enum rm_err result = desk_read_kek(desk);
    if (result == RM_OK) {
        result = desk_open_store(desk);
    }
    if (result == RM_OK) {
        result = authority_import(desk->store, desk->config->trust_domain, &desk->kek, pem, length,
                                  on_imported, desk, &desk->error);
        if (result != RM_OK) {
            rm_error_wrap(&desk->error, "%s", chain_path);
        }
    }
    rm_free(pem);
    return result;
}

int command_import_chain(const struct control_config *config, const char *chain_path)
{
    struct desk desk;
    enum rm_err result = desk_open(&desk, config);
    if (result == RM_OK) {
        result = start(&desk, chain_path);
    }
    if (result == RM_OK) {
        result = desk_run(&desk);
    }
    desk_close(&desk);
    if (result != RM_OK) {
        return desk_complain(&desk.error);
    }
    fprintf(stderr, "The chain is taken. Its root is %s/" BUNDLE_FILE ".\n", config->data_dir);
    return 0;
}
