// SPDX-License-Identifier: GPL-3.0-or-later
//
// Diagnose: what a diagnosis says goes to the caller as it comes. It is little (some sixty short
// messages), so it never waits for a slow caller; one that is gone ends the diagnosis.
#include "base/alloc.h"
#include "base/log.h"
#include "local/local_internal.h"

struct diagnose_work {
    struct diagnosis *diagnosis; // under way; NULL once it ended
};

static bool cancel_diagnosis(void *context)
{
    struct diagnose_work *work = context;
    if (work->diagnosis != NULL) {
        diagnosis_cancel(work->diagnosis);
        work->diagnosis = NULL;
    }
    return true;
}

// Sends what is in the response; a caller that cannot be told is not waited for. The diagnosis goes
// on until the call's close ends it.
static void pass_on(struct local_call *call, enum rm_err result)
{
    local_call_send(call, result);
    if (sm_is(&call->sm, LOCAL_CALL_ACTIVE)) {
        local_call_wait(call);
    }
}

static void local_on_step(void *context, const struct diagnose_step *step)
{
    struct local_call *call = context;
    if (sm_is(&call->sm, LOCAL_CALL_WAITING) && local_call_resume(call)) {
        pass_on(call, local_wire_diagnose_step(&call->response, step));
    }
}

static void local_on_finding(void *context, const struct diagnose_finding *finding)
{
    struct local_call *call = context;
    if (sm_is(&call->sm, LOCAL_CALL_WAITING) && local_call_resume(call)) {
        pass_on(call, local_wire_diagnose_finding(&call->response, finding));
    }
}

static void local_on_diagnosed(void *context, bool is_well)
{
    struct local_call *call = context;
    struct diagnose_work *work = call->work;
    work->diagnosis = NULL;
    if (sm_is(&call->sm, LOCAL_CALL_WAITING) && local_call_resume(call)) {
        local_call_answer(call, local_wire_diagnose_end(&call->response, is_well));
    }
}

static const struct diagnose_handler handler = {
    .on_step = local_on_step,
    .on_finding = local_on_finding,
    .on_end = local_on_diagnosed,
};

static void free_work(void *context)
{
    (void)cancel_diagnosis(context);
    rm_free(context);
}

void local_diagnose(struct local_call *call)
{
    const struct local_source *source = &call->local->source;
    const struct diagnose_request *request = &call->request.of.diagnose;
    struct rm_error error = {0};
    struct diagnose_work *work = rm_calloc(1, sizeof *work);
    if (!local_call_set_work(call, work, free_work)) {
        return;
    }
    enum rm_err result =
        source->diagnose(source->context, request, &handler, call, &work->diagnosis, &error);
    if (result != RM_OK) {
        enum rpc_status status = result == RM_ERR_BUSY || result == RM_ERR_LIMIT
                                     ? RPC_RESOURCE_EXHAUSTED
                                     : rpc_status_from_err(result);
        local_call_refuse(call, status, "%s", rm_error_message(&error));
        return;
    }
    log_info(LOG_LOCAL, "diagnosis_asked",
             LOG_STR("target", request->target != NULL ? request->target : ""),
             LOG_STR("service", request->service != NULL ? request->service : ""));
    call->work_cancel = cancel_diagnosis;
    local_call_wait(call);
}
