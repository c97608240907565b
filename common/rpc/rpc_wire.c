// SPDX-License-Identifier: GPL-3.0-or-later
//
// Health and reflection messages.
#include "base/alloc.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "pb/pb.h"
#include "rpc/rpc_internal.h"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus health_status;
#define HEALTH(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

enum rm_err rpc_wire_read_health(const uint8_t *bytes, size_t length,
                                 char service[RPC_MAX_SERVICE_NAME_BYTES + 1])
{
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&grpc__health__v1__health_check_request__descriptor, bytes, length,
                     RPC_MAX_UNAUTHENTICATED_BYTES, &message, NULL));
    const char *name =
        ((const Grpc__Health__V1__HealthCheckRequest *)(const void *)message)->service;
    size_t name_length = strlen(name);
    bool fits = name_length <= RPC_MAX_SERVICE_NAME_BYTES;
    if (fits) {
        memcpy(service, name, name_length + 1);
    }
    pb_free(message);
    return fits ? RM_OK : RM_ERR_TOO_LARGE;
}

static health_status health_to_wire(enum rpc_health_status status)
{
    switch (status) {
    case RPC_HEALTH_SERVING:
        return HEALTH(SERVING);
    case RPC_HEALTH_NOT_SERVING:
        return HEALTH(NOT_SERVING);
    case RPC_HEALTH_UNKNOWN:
        break;
    }
    return HEALTH(SERVICE_UNKNOWN);
}

// One field of one byte: fits always.
size_t rpc_wire_write_health(enum rpc_health_status status, uint8_t out[RPC_HEALTH_RESPONSE_BYTES])
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = health_to_wire(status);
    return protobuf_c_message_pack(&response.base, out);
}

// --- reflection ---

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;
#define ASKED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWERED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static struct rpc_question read_question(const request_message *request)
{
    if (request->message_request_case == ASKED(FILE_BY_FILENAME)) {
        return (struct rpc_question){RPC_ASK_FILE, request->file_by_filename};
    }
    if (request->message_request_case == ASKED(FILE_CONTAINING_SYMBOL)) {
        return (struct rpc_question){RPC_ASK_SYMBOL, request->file_containing_symbol};
    }
    if (request->message_request_case == ASKED(FILE_CONTAINING_EXTENSION)) {
        return (struct rpc_question){RPC_ASK_EXTENSION,
                                     request->file_containing_extension->containing_type};
    }
    if (request->message_request_case == ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE)) {
        return (struct rpc_question){RPC_ASK_EXTENSIONS, request->all_extension_numbers_of_type};
    }
    if (request->message_request_case == ASKED(LIST_SERVICES)) {
        return (struct rpc_question){RPC_ASK_SERVICES, request->list_services};
    }
    return (struct rpc_question){RPC_ASK_NOTHING, ""};
}

static enum rm_err pack_response(request_message *request, response_message *response,
                                 uint8_t **out, size_t *out_length)
{
    response->valid_host = request->host;
    response->original_request = request;
    return pb_pack(&response->base, RPC_MAX_MESSAGE_BYTES, out, out_length);
}

static enum rm_err write_error(request_message *request, const struct rpc_reflection_answer *answer,
                               uint8_t **out, size_t *out_length)
{
    response_message response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error.error_code = (int32_t)answer->error;
    error.error_message = (char *)answer->error_text;
    response.message_response_case = ANSWERED(ERROR_RESPONSE);
    response.error_response = &error;
    return pack_response(request, &response, out, out_length);
}

static enum rm_err write_files(request_message *request, const struct rpc_reflection_answer *answer,
                               uint8_t **out, size_t *out_length)
{
    response_message response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    ProtobufCBinaryData *data = rm_calloc(answer->file_count, sizeof(*data));
    if (data == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < answer->file_count; i++) {
        data[i].data = (uint8_t *)answer->files[i].bytes;
        data[i].len = answer->files[i].length;
    }
    files.n_file_descriptor_proto = answer->file_count;
    files.file_descriptor_proto = data;
    response.message_response_case = ANSWERED(FILE_DESCRIPTOR_RESPONSE);
    response.file_descriptor_response = &files;
    enum rm_err result = pack_response(request, &response, out, out_length);
    rm_free(data);
    return result;
}

// Fills `messages` and `pointers`, both of the answer's count.
static void list_services(const struct rpc_reflection_answer *answer,
                          Grpc__Reflection__V1__ServiceResponse *messages,
                          Grpc__Reflection__V1__ServiceResponse **pointers)
{
    for (size_t i = 0; i < answer->service_count; i++) {
        grpc__reflection__v1__service_response__init(&messages[i]);
        messages[i].name = answer->services[i];
        pointers[i] = &messages[i];
    }
}

static enum rm_err write_services(request_message *request,
                                  const struct rpc_reflection_answer *answer, uint8_t **out,
                                  size_t *out_length)
{
    response_message response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse *messages =
        rm_calloc(answer->service_count, sizeof(*messages));
    Grpc__Reflection__V1__ServiceResponse **pointers =
        rm_calloc(answer->service_count, sizeof(struct Grpc__Reflection__V1__ServiceResponse *));
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (messages != NULL && pointers != NULL) {
        list_services(answer, messages, pointers);
        list.n_service = answer->service_count;
        list.service = pointers;
        response.message_response_case = ANSWERED(LIST_SERVICES_RESPONSE);
        response.list_services_response = &list;
        result = pack_response(request, &response, out, out_length);
    }
    rm_free(messages);
    rm_free(pointers);
    return result;
}

static enum rm_err write_no_extensions(request_message *request, const char *type, uint8_t **out,
                                       size_t *out_length)
{
    response_message response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ExtensionNumberResponse none =
        GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    none.base_type_name = (char *)type;
    response.message_response_case = ANSWERED(ALL_EXTENSION_NUMBERS_RESPONSE);
    response.all_extension_numbers_response = &none;
    return pack_response(request, &response, out, out_length);
}

static enum rm_err write_answer(request_message *request, const struct rpc_question *question,
                                const struct rpc_reflection_answer *answer, uint8_t **out,
                                size_t *out_length)
{
    if (answer->files != NULL) {
        return write_files(request, answer, out, out_length);
    }
    if (answer->has_services) {
        return write_services(request, answer, out, out_length);
    }
    if (answer->has_extension_numbers) {
        return write_no_extensions(request, question->text, out, out_length);
    }
    return write_error(request, answer, out, out_length);
}

enum rm_err rpc_wire_reflect(const uint8_t *bytes, size_t length, rpc_reflect_fn reflect,
                             void *context, uint8_t **out, size_t *out_length)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&grpc__reflection__v1__server_reflection_request__descriptor, bytes, length,
                     RPC_MAX_UNAUTHENTICATED_BYTES, &message, NULL));
    request_message *request = (request_message *)(void *)message;
    const struct rpc_question question = read_question(request);
    struct rpc_reflection_answer answer = {.error = RPC_OK, .error_text = ""};
    enum rm_err result = reflect(context, &question, &answer);
    if (result == RM_OK) {
        result = write_answer(request, &question, &answer, out, out_length);
    }
    rm_free(answer.files);
    rm_free(answer.services);
    pb_free(message);
    return result;
}
