// SPDX-License-Identifier: GPL-3.0-or-later
//
// Backup: the store copies itself into a private file in the data folder, which loses its name at
// once and goes out piece by piece, as fast as the caller takes it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/admin_internal.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/log.h"

#define BACKUP_NAME "backup.sending"
// Queued at most; four pieces, so that the connection does not run dry.
#define BACKUP_QUEUE_BYTES (4U * ADMIN_API_BACKUP_CHUNK_BYTES)

struct backup_work {
    struct admin_api *api;                       // whose only backup this is
    char *path;                                  // owned
    int descriptor;                              // of the file; -1: none yet
    uint8_t chunk[ADMIN_API_BACKUP_CHUNK_BYTES]; // one piece on its way
};

static char *backup_path(const struct admin_api *api)
{
    size_t length = strlen(api->options.data_folder) + sizeof "/" BACKUP_NAME;
    char *path = rm_malloc(length);
    if (path != NULL) {
        snprintf(path, length, "%s/" BACKUP_NAME, api->options.data_folder);
    }
    return path;
}

void admin_backup_clean(struct admin_api *api)
{
    char *path = backup_path(api);
    if (path != NULL && unlink(path) == 0) {
        log_warn(LOG_API, "unfinished_backup_removed", LOG_STR("path", path));
    }
    rm_free(path);
}

static void work_free(void *context)
{
    struct backup_work *work = context;
    if (work->descriptor >= 0) {
        close(work->descriptor);
    } else {
        unlink(work->path); // the caller left before the file could be opened
    }
    work->api->is_backing_up = false;
    rm_free(work->path);
    rm_free(work);
}

static struct backup_work *work_new(struct admin_api *api)
{
    struct backup_work *work = rm_calloc(1, sizeof *work);
    char *path = work != NULL ? backup_path(api) : NULL;
    if (path == NULL) {
        rm_free(work);
        return NULL;
    }
    work->api = api;
    work->path = path;
    work->descriptor = -1;
    api->is_backing_up = true;
    return work;
}

// The file was written a moment ago, so its pages are in memory: reading does not wait for a disk.
static enum rm_err send_piece(struct admin_call *call, bool *is_end)
{
    struct backup_work *work = call->work;
    ssize_t length = read(work->descriptor, work->chunk, sizeof work->chunk);
    if (length < 0) {
        return errno == EINTR ? RM_OK : rm_err_from_errno(errno);
    }
    *is_end = length == 0;
    if (length == 0) {
        return RM_OK;
    }
    buffer_clear(&call->response);
    RM_TRY(admin_wire_backup_chunk(&call->response, work->chunk, (size_t)length));
    return rpc_call_send(call->rpc, buffer_data(&call->response), buffer_length(&call->response));
}

void admin_backup_on_writable(struct admin_call *call)
{
    bool is_end = false;
    enum rm_err result = RM_OK;
    while (result == RM_OK && !is_end && rpc_call_queued_bytes(call->rpc) < BACKUP_QUEUE_BYTES) {
        result = send_piece(call, &is_end);
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, "the backup broke off: what came so far is worth nothing");
    } else if (is_end) {
        sm_move(&call->sm, ADMIN_CALL_ANSWERED);
        rpc_call_end(call->rpc, RPC_OK, NULL);
    }
}

static void on_copied(void *context, enum rm_err result, const struct rm_error *error)
{
    struct admin_call *call = context;
    if (!admin_call_resume(call)) {
        return;
    }
    struct backup_work *work = call->work;
    if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(error));
        return;
    }
    work->descriptor = open(work->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (work->descriptor < 0 || unlink(work->path) != 0) {
        admin_call_fail(call, rm_err_from_errno(errno), "the copy cannot be read");
        return;
    }
    log_info(LOG_API, "backup_sent", LOG_STR("actor", call->actor));
    sm_move(&call->sm, ADMIN_CALL_SENDING);
    admin_backup_on_writable(call);
}

static void on_recorded(void *context, enum rm_err result, uint64_t revision)
{
    struct admin_call *call = context;
    (void)revision;
    if (!admin_call_resume(call)) {
        return;
    }
    const struct backup_work *work = call->work;
    if (result == RM_OK) {
        result = store_backup(call->api->options.store, work->path, on_copied, call);
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    admin_call_wait(call);
}

void admin_backup(struct admin_call *call)
{
    struct transaction transaction;
    if (call->api->is_backing_up) {
        admin_call_refuse(call, RPC_ABORTED, "another backup is under way: try again after it");
        return;
    }
    if (!admin_call_set_work(call, work_new(call->api), work_free)) {
        return;
    }
    // Whoever has a backup has everything but the key-encryption key: that is worth a record.
    transaction_init(&transaction);
    audit_record_operation(&transaction, "backup", call->actor, "store", NULL);
    enum rm_err result =
        transaction_commit(&transaction, call->api->options.store, on_recorded, call);
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    admin_call_wait(call);
}
