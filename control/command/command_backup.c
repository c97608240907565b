// SPDX-License-Identifier: GPL-3.0-or-later
//
// A backup while the control plane runs comes through its admin socket; otherwise straight from the
// store. Either way it lies under a temporary name until it is whole.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command/backup_wire.h"
#include "command/command.h"
#include "command/desk.h"
#include "rpc/rpc.h"
#include "stream/socket.h"

#define CONNECT_TIMEOUT_MS 5000
#define BACKUP_DEADLINE_MS 3600000
#define BACKUP_METHOD "/remora.admin.v1.Admin/Backup"

struct backup {
    struct desk desk;          // loop, and the store when no server runs
    const char *path;          // where to
    char partial[4096];        // temporary name
    int descriptor;            // of the temporary file; -1: none
    struct rpc_client *client; // to the running server
    bool is_partial_made;      // the temporary file is ours
    bool is_ended;             // the call gave its status
};

static enum rm_err write_all(void *context, const uint8_t *data, size_t length)
{
    const struct backup *backup = context;
    while (length > 0) {
        ssize_t written = write(backup->descriptor, data, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return rm_err_from_errno(errno);
        }
        data += written;
        length -= (size_t)written;
    }
    return RM_OK;
}

static void on_chunk(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct backup *backup = context;
    enum rm_err result = backup_wire_read_chunk(bytes, length, write_all, backup);
    if (result != RM_OK && backup->desk.error.code == RM_OK) {
        rm_error_set(&backup->desk.error, result, "%s cannot be written: %s", backup->partial,
                     rm_err_text(result));
        rpc_call_cancel(call);
    }
}

static void on_call_close(void *context, struct rpc_call *call, enum rpc_status status,
                          const char *text)
{
    struct backup *backup = context;
    (void)call;
    backup->is_ended = true;
    if (status != RPC_OK && backup->desk.error.code == RM_OK) {
        rm_error_set(&backup->desk.error, rpc_status_to_err(status),
                     "the control plane gave no backup: %s", text);
    }
    rpc_client_drain(backup->client);
}

static void on_client_end(void *context, enum rm_err reason, const char *detail)
{
    struct backup *backup = context;
    if (!backup->is_ended && backup->desk.error.code == RM_OK) {
        rm_error_set(&backup->desk.error, reason == RM_OK ? RM_ERR_CLOSED : reason,
                     "the connection to the control plane ended: %s", detail);
    }
    desk_finish(&backup->desk, backup->desk.error.code, NULL);
}

static const struct rpc_client_handler handler = {
    .on_message = on_chunk,
    .on_close = on_call_close,
};

static enum rm_err ask(struct backup *backup, struct stream *stream)
{
    struct rpc_call *call = NULL;
    RM_TRY(rpc_client_new(stream, "localhost", on_client_end, backup, &backup->client));
    enum rm_err result =
        rpc_client_call(backup->client, BACKUP_METHOD, BACKUP_DEADLINE_MS, &handler, backup, &call);
    if (result == RM_OK) {
        rpc_call_allow_large(call);
        result = rpc_call_send(call, (const uint8_t *)"", 0); // BackupRequest has no fields
    }
    if (result == RM_OK) {
        result = rpc_call_half_close(call);
    }
    if (result != RM_OK) {
        rm_error_set(&backup->desk.error, result, "the control plane cannot be asked: %s",
                     rm_err_text(result));
        rpc_client_abort(backup->client, result); // on_client_end finishes
    }
    return RM_OK;
}

// --- Without a running server.

static void on_backup(void *context, enum rm_err result, const struct rm_error *error)
{
    struct backup *backup = context;
    desk_finish(&backup->desk, result, error);
}

static enum rm_err copy_store(struct backup *backup)
{
    (void)close(backup->descriptor);
    backup->descriptor = -1;
    (void)unlink(backup->partial); // store_backup() makes the file itself
    RM_TRY(desk_open_store(&backup->desk));
    enum rm_err result = store_backup(backup->desk.store, backup->partial, on_backup, backup);
    return result == RM_OK
               ? RM_OK
               : rm_error_set(&backup->desk.error, result, "the store: %s", rm_err_text(result));
}

static void on_connect(void *context, enum rm_err result, struct stream *stream)
{
    struct backup *backup = context;
    struct desk *desk = &backup->desk;
    if (result == RM_OK) {
        result = ask(backup, stream);
        if (result != RM_OK) {
            rm_error_set(&desk->error, result, "out of memory");
        }
    } else if (result == RM_ERR_NOT_FOUND || result == RM_ERR_REFUSED) {
        result = copy_store(backup);
    } else {
        rm_error_set(&desk->error, result, "the control plane's socket %s does not answer: %s",
                     desk->config->admin_path, rm_err_text(result));
    }
    if (result != RM_OK) {
        desk_finish(desk, result, NULL);
    }
}

// --- The file.

static enum rm_err open_partial(struct backup *backup)
{
    struct rm_error *error = &backup->desk.error;
    if (access(backup->path, F_OK) == 0) {
        return rm_error_set(error, RM_ERR_EXISTS, "%s exists: name a new file", backup->path);
    }
    if (snprintf(backup->partial, sizeof backup->partial, "%s.partial", backup->path) >=
        (int)sizeof backup->partial) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "the name of the backup is too long");
    }
    backup->descriptor = open(backup->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    backup->is_partial_made = backup->descriptor >= 0;
    return backup->is_partial_made
               ? RM_OK
               : rm_error_set_errno(error, errno, "cannot make %s", backup->partial);
}

static enum rm_err put_in_place(struct backup *backup)
{
    struct rm_error *error = &backup->desk.error;
    if (backup->descriptor >= 0 && fsync(backup->descriptor) != 0) {
        return rm_error_set_errno(error, errno, "cannot write %s", backup->partial);
    }
    if (rename(backup->partial, backup->path) != 0) {
        return rm_error_set_errno(error, errno, "cannot name the backup %s", backup->path);
    }
    return RM_OK;
}

static enum rm_err run(struct backup *backup)
{
    struct desk *desk = &backup->desk;
    struct socket_connect *connect = NULL;
    RM_TRY(open_partial(backup));
    enum rm_err result = socket_connect(desk->loop, &desk->config->admin_address,
                                        CONNECT_TIMEOUT_MS, on_connect, backup, &connect);
    if (result == RM_ERR_NOT_FOUND || result == RM_ERR_REFUSED) {
        result = copy_store(backup);
    } else if (result != RM_OK) {
        rm_error_set(&desk->error, result, "the control plane's socket: %s", rm_err_text(result));
    }
    if (result == RM_OK) {
        result = desk_run(desk);
    }
    return result == RM_OK ? put_in_place(backup) : result;
}

int command_backup(const struct control_config *config, const char *path)
{
    struct backup backup = {.path = path, .descriptor = -1};
    enum rm_err result = desk_open(&backup.desk, config);
    if (result == RM_OK) {
        result = run(&backup);
    }
    if (backup.descriptor >= 0) {
        (void)close(backup.descriptor);
    }
    desk_close(&backup.desk);
    if (result != RM_OK) {
        if (backup.is_partial_made) {
            (void)unlink(backup.partial);
        }
        return desk_complain(&backup.desk.error);
    }
    fprintf(stderr,
            "The store is in %s. Without the key-encryption key it opens nothing: keep %s\n", path,
            config->kek_path);
    return 0;
}
