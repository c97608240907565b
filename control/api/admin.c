// SPDX-License-Identifier: GPL-3.0-or-later
//
// One call:
//
//   ACTIVE <--> WAITING --(closed)--> ORPHANED --(the room answered)--> freed
//     |
//     +--> SENDING (backup)
//     |       |
//     +-------+--> ANSWERED --(closed)--> freed
#include "api/admin_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

#define SERVICE_PATH "/remora.admin.v1.Admin/"

static const struct sm_state states[] = {
    [ADMIN_CALL_ACTIVE] = {"active", SM_BIT(ADMIN_CALL_WAITING) | SM_BIT(ADMIN_CALL_SENDING) |
                                         SM_BIT(ADMIN_CALL_ANSWERED)},
    [ADMIN_CALL_WAITING] = {"waiting", SM_BIT(ADMIN_CALL_ACTIVE) | SM_BIT(ADMIN_CALL_ORPHANED)},
    [ADMIN_CALL_SENDING] = {"sending", SM_BIT(ADMIN_CALL_ANSWERED)},
    [ADMIN_CALL_ANSWERED] = {"answered", 0},
    [ADMIN_CALL_ORPHANED] = {"orphaned", 0},
};

// --- The API.

static void api_release(struct admin_api *api)
{
    rm_free((char *)api->options.trust_domain);
    rm_free((char *)api->options.data_folder);
    rm_free(api);
}

enum rm_err admin_api_new(const struct admin_api_options *options, struct admin_api **out)
{
    struct admin_api *api = rm_calloc(1, sizeof *api);
    if (api == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    // The configuration that they come from goes with the next reload.
    api->options = *options;
    api->options.trust_domain = rm_strdup(options->trust_domain);
    api->options.data_folder = rm_strdup(options->data_folder);
    if (api->options.trust_domain == NULL || api->options.data_folder == NULL) {
        api_release(api);
        return RM_ERR_NO_MEMORY;
    }
    admin_backup_clean(api);
    *out = api;
    return RM_OK;
}

static void api_free_if_done(struct admin_api *api)
{
    if (api->is_freed && api->call_count == 0) {
        api_release(api);
    }
}

void admin_api_free(struct admin_api *api)
{
    if (api != NULL) {
        api->is_freed = true;
        api_free_if_done(api);
    }
}

// --- A call's life.

static void call_free(struct admin_call *call)
{
    struct admin_api *api = call->api;
    if (call->work != NULL) {
        call->work_free(call->work);
    }
    admin_request_deinit(&call->request);
    buffer_deinit_wiped(&call->response);
    rm_free(call->actor);
    rm_free(call->scan_next);
    rm_free(call);
    api->call_count--;
    api_free_if_done(api);
}

void admin_call_wait(struct admin_call *call)
{
    sm_move(&call->sm, ADMIN_CALL_WAITING);
}

bool admin_call_resume(struct admin_call *call)
{
    if (sm_is(&call->sm, ADMIN_CALL_ORPHANED)) {
        call_free(call);
        return false;
    }
    sm_move(&call->sm, ADMIN_CALL_ACTIVE);
    return true;
}

static void call_end(struct admin_call *call, enum rpc_status status, const char *text)
{
    sm_move(&call->sm, ADMIN_CALL_ANSWERED);
    rpc_call_end(call->rpc, status, text);
}

void admin_call_answer(struct admin_call *call)
{
    enum rm_err result =
        rpc_call_send(call->rpc, buffer_data(&call->response), buffer_length(&call->response));
    call_end(call, rpc_status_from_err(result),
             result == RM_OK ? NULL : "the answer could not be queued: read faster");
}

void admin_call_answer_if(struct admin_call *call, enum rm_err result)
{
    if (result == RM_OK) {
        admin_call_answer(call);
    } else {
        admin_call_fail(call, result, NULL);
    }
}

void admin_call_refuse(struct admin_call *call, enum rpc_status status, const char *format, ...)
{
    char text[RPC_MAX_STATUS_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_debug(LOG_API, "admin_refused", LOG_STR("status", rpc_status_name(status)),
              LOG_STR("text", text));
    call_end(call, status, text);
}

void admin_call_fail(struct admin_call *call, enum rm_err result, const char *sentence)
{
    if (sentence == NULL && result == RM_ERR_TOO_LARGE) {
        sentence = "the list is larger than 4 MiB, the limit of one answer: ask for less";
    }
    admin_call_refuse(call, rpc_status_from_err(result), "%s",
                      sentence != NULL && sentence[0] != '\0' ? sentence : rm_err_text(result));
}

bool admin_call_set_work(struct admin_call *call, void *work, void (*work_free)(void *work))
{
    if (work == NULL) {
        admin_call_fail(call, RM_ERR_NO_MEMORY, NULL);
        return false;
    }
    call->work = work;
    call->work_free = work_free;
    return true;
}

// --- Lists from the store.

static void scan_read(struct admin_call *call);

// The next page's first key is the last one of this page with a space appended.
static enum rm_err scan_remember(struct admin_call *call, const char *key)
{
    size_t length = strlen(key);
    char *next = rm_malloc(length + 2);
    if (next == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    memcpy(next, key, length);
    memcpy(next + length, " ", 2);
    rm_free(call->scan_next);
    call->scan_next = next;
    return RM_OK;
}

static void scan_on_page(void *context, enum rm_err result, const struct store_entry *entries,
                         size_t count, uint64_t revision)
{
    struct admin_call *call = context;
    (void)revision;
    if (!admin_call_resume(call)) {
        return;
    }
    for (size_t i = 0; i < count && result == RM_OK; i++) {
        result = call->scan_on_entry(call, &entries[i]);
    }
    if (result == RM_OK && count == ADMIN_READ_PAGE) {
        result = scan_remember(call, entries[count - 1].key);
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
    } else if (count == ADMIN_READ_PAGE) {
        scan_read(call);
    } else {
        call->scan_on_end(call);
    }
}

static void scan_read(struct admin_call *call)
{
    enum rm_err result = store_read_prefix(call->api->options.store, call->scan_prefix,
                                           call->scan_next, ADMIN_READ_PAGE, scan_on_page, call);
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    admin_call_wait(call);
}

void admin_call_scan(struct admin_call *call, const char *prefix,
                     enum rm_err (*on_entry)(struct admin_call *call,
                                             const struct store_entry *entry),
                     void (*on_end)(struct admin_call *call))
{
    call->scan_prefix = prefix;
    call->scan_on_entry = on_entry;
    call->scan_on_end = on_end;
    scan_read(call);
}

// --- The server's side of a call.

static void (*const handlers[])(struct admin_call *call) = {
#define ADMIN_HANDLER_ENTRY(name, wire, handler) [ADMIN_##name] = handler,
    ADMIN_METHOD_LIST(ADMIN_HANDLER_ENTRY)
#undef ADMIN_HANDLER_ENTRY
};

static struct admin_call *call_new(struct admin_api *api, struct rpc_call *rpc,
                                   enum admin_method method)
{
    char actor[ACCESS_ACTOR_BYTES];
    access_actor(rpc, actor);
    struct admin_call *call = rm_calloc(1, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    call->actor = rm_strdup(actor);
    if (call->actor == NULL) {
        rm_free(call);
        return NULL;
    }
    call->api = api;
    call->rpc = rpc;
    call->method = method;
    buffer_init(&call->response, RPC_MAX_MESSAGE_BYTES);
    sm_init(&call->sm, "admin_call", api->next_id++, states, ADMIN_CALL_ACTIVE);
    api->call_count++;
    return call;
}

static enum rpc_status call_open(struct admin_api *api, struct rpc_call *rpc,
                                 enum admin_method method, const char *path, const char **text)
{
    enum rpc_status status = access_check(api->options.access, rpc, path, text);
    if (status != RPC_OK) {
        return status;
    }
    if (api->call_count >= ADMIN_API_MAX_CALLS) {
        *text = "too many administrative calls are under way: try again";
        return RPC_RESOURCE_EXHAUSTED;
    }
    struct admin_call *call = call_new(api, rpc, method);
    if (call == NULL) {
        *text = "out of memory";
        return RPC_RESOURCE_EXHAUSTED;
    }
    rpc_call_allow_large(rpc);
    rpc_call_set_context(rpc, call);
    return RPC_OK;
}

static void call_on_message(void *context, struct rpc_call *rpc, const uint8_t *bytes,
                            size_t length)
{
    struct admin_call *call = context;
    struct rm_error error = {0};
    (void)rpc;
    if (!sm_is(&call->sm, ADMIN_CALL_ACTIVE)) {
        return;
    }
    enum rm_err result = admin_wire_decode(call->method, bytes, length, &call->request, &error);
    if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(&error));
        return;
    }
    handlers[call->method](call);
}

// A request without its one message never gets here: the rpc room refuses it.
static void call_on_half_close(void *context, struct rpc_call *rpc)
{
    (void)context;
    (void)rpc;
}

static void call_on_writable(void *context, struct rpc_call *rpc)
{
    struct admin_call *call = context;
    (void)rpc;
    if (sm_is(&call->sm, ADMIN_CALL_SENDING)) {
        admin_backup_on_writable(call);
    }
}

static void call_on_close(void *context, struct rpc_call *rpc, enum rpc_status status)
{
    struct admin_call *call = context;
    (void)rpc;
    (void)status;
    call->rpc = NULL;
    if (sm_is(&call->sm, ADMIN_CALL_WAITING)) {
        sm_move(&call->sm, ADMIN_CALL_ORPHANED);
        return;
    }
    call_free(call);
}

// --- Methods. A method's on_open is not told its path, so each has one of its own.

#define ADMIN_METHOD_OPEN(name, wire, handler)                                                     \
    static enum rpc_status open_##name(void *context, struct rpc_call *rpc, const char **text)     \
    {                                                                                              \
        return call_open(context, rpc, ADMIN_##name, SERVICE_PATH #wire, text);                    \
    }
ADMIN_METHOD_LIST(ADMIN_METHOD_OPEN)
#undef ADMIN_METHOD_OPEN

static const struct rpc_method methods[] = {
#define ADMIN_METHOD_ROW(name, wire, handler)                                                      \
    [ADMIN_##name] = {                                                                             \
        .path = SERVICE_PATH #wire,                                                                \
        .is_server_streaming = ADMIN_##name == ADMIN_BACKUP,                                       \
        .on_open = open_##name,                                                                    \
        .on_message = call_on_message,                                                             \
        .on_half_close = call_on_half_close,                                                       \
        .on_writable = call_on_writable,                                                           \
        .on_close = call_on_close,                                                                 \
    },
    ADMIN_METHOD_LIST(ADMIN_METHOD_ROW)
#undef ADMIN_METHOD_ROW
};

enum rm_err admin_api_add_to(struct admin_api *api, struct rpc_server *server)
{
    return rpc_server_add(server, methods, ADMIN_METHOD_COUNT, api);
}
