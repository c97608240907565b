// SPDX-License-Identifier: GPL-3.0-or-later
//
// grpc.reflection.v1 and v1alpha: what this server serves, from the embedded contracts.
#include "base/alloc.h"
#include "rpc/rpc_internal.h"

static enum rm_err refuse(struct rpc_reflection_answer *answer, enum rpc_status status,
                          const char *text)
{
    answer->error = status;
    answer->error_text = text;
    return RM_OK;
}

static enum rm_err answer_files(const struct rpc_descriptors *set, size_t file,
                                struct rpc_reflection_answer *answer)
{
    if (file == RPC_DESCRIPTOR_NONE) {
        return refuse(answer, RPC_NOT_FOUND, "not found in the contracts of this server");
    }
    size_t *indices = rm_calloc(set->count, sizeof(*indices));
    answer->files = rm_calloc(set->count, sizeof(*answer->files));
    if (indices == NULL || answer->files == NULL) {
        rm_free(indices);
        return RM_ERR_NO_MEMORY;
    }
    answer->file_count = rpc_descriptors_closure(set, file, indices);
    for (size_t i = 0; i < answer->file_count; i++) {
        answer->files[i] = set->files[indices[i]].bytes;
    }
    rm_free(indices);
    return RM_OK;
}

static size_t count_services(const struct rpc_server *server)
{
    size_t count = 0;
    list_each (node, &server->services) {
        count += list_entry(node, struct rpc_service, node)->has_methods ? 1 : 0;
    }
    return count;
}

static enum rm_err answer_services(const struct rpc_server *server,
                                   struct rpc_reflection_answer *answer)
{
    answer->services = rm_calloc(count_services(server), sizeof(*answer->services));
    if (answer->services == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    list_each (node, &server->services) {
        const struct rpc_service *service = list_entry(node, struct rpc_service, node);
        if (service->has_methods) {
            answer->services[answer->service_count++] = service->name;
        }
    }
    answer->has_services = true;
    return RM_OK;
}

// Our contracts declare no extensions: a known type has none.
static enum rm_err answer_extensions(const struct rpc_descriptors *set, const char *type,
                                     struct rpc_reflection_answer *answer)
{
    if (rpc_descriptors_find_symbol(set, type) == RPC_DESCRIPTOR_NONE) {
        return refuse(answer, RPC_NOT_FOUND, "unknown type");
    }
    answer->has_extension_numbers = true;
    return RM_OK;
}

static enum rm_err reflect(void *context, const struct rpc_question *question,
                           struct rpc_reflection_answer *answer)
{
    const struct rpc_server *server = context;
    const struct rpc_descriptors *set = server->contracts;
    const struct rpc_view name = {(const uint8_t *)question->text, strlen(question->text)};
    switch (question->kind) {
    case RPC_ASK_FILE:
        return answer_files(set, rpc_descriptors_find_file(set, name), answer);
    case RPC_ASK_SYMBOL:
        return answer_files(set, rpc_descriptors_find_symbol(set, question->text), answer);
    case RPC_ASK_EXTENSION:
        return refuse(answer, RPC_NOT_FOUND, "no such extension");
    case RPC_ASK_EXTENSIONS:
        return answer_extensions(set, question->text, answer);
    case RPC_ASK_SERVICES:
        return answer_services(server, answer);
    case RPC_ASK_NOTHING:
        break;
    }
    return refuse(answer, RPC_INVALID_ARGUMENT, "unknown kind of question");
}

static enum rpc_status on_open(void *server_context, struct rpc_call *call, const char **text)
{
    (void)server_context;
    (void)call;
    (void)text;
    return RPC_OK;
}

static void on_message(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    uint8_t *response = NULL;
    size_t response_length = 0;
    enum rm_err result = rpc_wire_reflect(bytes, length, reflect, call->connection->server,
                                          &response, &response_length);
    if (result == RM_OK) {
        result = rpc_call_send(call, response, response_length);
        rm_free(response);
    }
    if (result != RM_OK) {
        rpc_call_end(call, rpc_status_from_err(result), rm_err_text(result));
    }
}

static void on_half_close(void *context, struct rpc_call *call)
{
    (void)context;
    rpc_call_end(call, RPC_OK, NULL);
}

static void on_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    (void)context;
    (void)call;
    (void)status;
}

#define REFLECTION_METHOD(version)                                                                 \
    {                                                                                              \
        .path = "/grpc.reflection." version ".ServerReflection/ServerReflectionInfo",              \
        .is_client_streaming = true, .is_server_streaming = true, .on_open = on_open,              \
        .on_message = on_message, .on_half_close = on_half_close, .on_close = on_close,            \
    }

static const struct rpc_method methods[] = {
    REFLECTION_METHOD("v1"),
    REFLECTION_METHOD("v1alpha"), // what older clients still speak
};

enum rm_err rpc_server_add_reflection(struct rpc_server *server, const uint8_t *descriptor_set,
                                      size_t length)
{
    struct rpc_descriptors *contracts = NULL;
    RM_TRY(rpc_descriptors_new(descriptor_set, length, &contracts));
    rm_free(server->contracts);
    server->contracts = contracts;
    return rpc_server_add(server, methods, sizeof(methods) / sizeof(methods[0]), NULL);
}
