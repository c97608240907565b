// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "ca/authority.h"
#include "ca/bundle.h"
#include "command/command.h"
#include "command/desk.h"
#include "records/records.h"

#define FOLDER_MAX_ENTRIES 256 // a data folder holds a handful
#define REQUEST_FILE "intermediate.csr"

struct init {
    struct desk desk;             // loop, store, key
    struct record_strings before; // names that were in the data folder
    bool is_folder_new;           // it was made by us
    bool is_kek_new;              // the same
    struct authority *authority;  // self: loaded again, as a proof
};

// --- What was there before, so that a failure leaves just that.

static enum rm_err list_folder(struct init *init)
{
    const char *names[FOLDER_MAX_ENTRIES];
    size_t count = 0;
    DIR *folder = opendir(init->desk.config->data_dir);
    if (folder == NULL) {
        init->is_folder_new = true;
        return RM_OK;
    }
    const struct dirent *entry;
    enum rm_err result = RM_OK;
    while (result == RM_OK && count < FOLDER_MAX_ENTRIES && (entry = readdir(folder)) != NULL) {
        names[count] = rm_strdup(entry->d_name);
        result = names[count] != NULL ? RM_OK : RM_ERR_NO_MEMORY;
        count += result == RM_OK ? 1 : 0;
    }
    if (result == RM_OK) {
        result = record_strings_dup(names, count, &init->before);
    }
    for (size_t i = 0; i < count; i++) {
        rm_free((char *)names[i]);
    }
    closedir(folder);
    return result;
}

static bool was_there(const struct init *init, const char *name)
{
    for (size_t i = 0; i < init->before.count; i++) {
        if (strcmp(init->before.items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void undo(const struct init *init)
{
    const char *path = init->desk.config->data_dir;
    DIR *folder = opendir(path);
    const struct dirent *entry;
    // A folder with more than we listed is not ours to clean.
    while (folder != NULL && init->before.count < FOLDER_MAX_ENTRIES &&
           (entry = readdir(folder)) != NULL) {
        if (!was_there(init, entry->d_name)) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0); // "." and ".." are not removed by it
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    if (init->is_kek_new) {
        (void)unlink(init->desk.config->kek_path);
    }
    if (init->is_folder_new) {
        (void)rmdir(path);
    }
}

// --- The errand.

static void on_loaded(void *context, enum rm_err result, struct authority *authority,
                      const struct rm_error *load_error)
{
    struct init *init = context;
    struct rm_error error = {0};
    if (result != RM_OK) {
        desk_finish(&init->desk, result, load_error);
        return;
    }
    result = bundle_write(init->desk.config->data_dir, authority_root(authority), &error);
    authority_close(authority);
    desk_finish(&init->desk, result, &error);
}

static enum rm_err keep_request(const struct control_config *config, const char *csr_pem,
                                struct rm_error *error)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/" REQUEST_FILE, config->data_dir) >= (int)sizeof path) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "the name of the data folder is too long");
    }
    RM_TRY(file_write_atomic(path, csr_pem, strlen(csr_pem), 0644, error));
    fputs(csr_pem, stdout);
    return RM_OK;
}

static void on_init(void *context, enum rm_err result, const char *csr_pem,
                    const struct rm_error *init_error)
{
    struct init *init = context;
    struct desk *desk = &init->desk;
    struct rm_error error = {0};
    if (result != RM_OK) {
        desk_finish(desk, result, init_error);
        return;
    }
    if (csr_pem != NULL) {
        result = keep_request(desk->config, csr_pem, &error);
        desk_finish(desk, result, &error);
        return;
    }
    result = authority_load(desk->loop, desk->store, desk->config->trust_domain, &desk->kek,
                            on_loaded, init);
    if (result != RM_OK) {
        rm_error_set(&error, result, "out of memory");
        desk_finish(desk, result, &error);
    }
}

static enum rm_err start(struct init *init)
{
    struct desk *desk = &init->desk;
    const struct control_config *config = desk->config;
    enum authority_mode mode =
        config->mode == CONTROL_MODE_SELF ? AUTHORITY_SELF : AUTHORITY_OFFLINE_ROOT;
    RM_TRY(file_make_private_folder(config->data_dir, 0700, &desk->error));
    RM_TRY(kek_make(config, &init->is_kek_new, &desk->error));
    RM_TRY(desk_read_kek(desk));
    RM_TRY(desk_open_store(desk));
    return authority_init(desk->store, mode, config->trust_domain, &desk->kek, on_init, init,
                          &desk->error);
}

static void congratulate(const struct init *init)
{
    const struct control_config *config = init->desk.config;
    fprintf(stderr, "The certificate authority of %s is in %s.\n", config->trust_domain,
            config->data_dir);
    fprintf(stderr, "Its keys are sealed under %s: keep that file, and keep it elsewhere.\n",
            config->kek_path);
    if (config->mode == CONTROL_MODE_SELF) {
        fprintf(stderr, "Its root is %s/" BUNDLE_FILE ". Next: remora-control serve --config %s\n",
                config->data_dir, config->path);
    } else {
        fprintf(stderr,
                "Have the request above (also %s/" REQUEST_FILE ") signed by your root, then:\n"
                "remora-control import-chain --config %s CHAIN.pem\n",
                config->data_dir, config->path);
    }
}

int command_init(const struct control_config *config)
{
    struct init init = {0};
    enum rm_err result = desk_open(&init.desk, config);
    if (result == RM_OK) {
        result = list_folder(&init);
    }
    if (result == RM_OK) {
        result = start(&init);
        if (result == RM_OK) {
            result = desk_run(&init.desk);
        }
        desk_close(&init.desk);
        if (result != RM_OK) {
            undo(&init);
        }
    }
    record_strings_deinit(&init.before);
    if (result != RM_OK) {
        return desk_complain(&init.desk.error);
    }
    congratulate(&init);
    return 0;
}
