// SPDX-License-Identifier: GPL-3.0-or-later
#include "diagnose/diagnose_internal.h"

#include <string.h>

#include "base/alloc.h"

struct diagnose {
    struct loop *loop;         // borrowed
    struct resolver *resolver; // borrowed
    struct diagnose_source source;
    struct diagnosis *running; // NULL: none
    uint32_t tokens;           // runs that may begin now
    uint64_t refilled_ms;      // loop time
};

static void diagnosis_cut(struct diagnosis *diagnosis, const char *why);

// --- The room
// ------------------------------------------------------------------------------------

struct diagnose *diagnose_open(struct loop *loop, struct resolver *resolver,
                               const struct diagnose_source *source)
{
    struct diagnose *diagnose = rm_calloc(1, sizeof(*diagnose));
    if (diagnose != NULL) {
        diagnose->loop = loop;
        diagnose->resolver = resolver;
        diagnose->source = *source;
        diagnose->tokens = DIAGNOSE_BURST;
        diagnose->refilled_ms = loop_now_ms(loop);
    }
    return diagnose;
}

void diagnose_close(struct diagnose *diagnose)
{
    if (diagnose == NULL) {
        return;
    }
    if (diagnose->running != NULL) {
        diagnosis_cut(diagnose->running, "this sidecar is stopping");
    }
    rm_free(diagnose);
}

const struct diagnose_source *diagnosis_source(const struct diagnosis *diagnosis)
{
    return &diagnosis->owner->source;
}

static bool diagnose_may_start(struct diagnose *diagnose)
{
    uint64_t now_ms = loop_now_ms(diagnose->loop);
    uint64_t due = (now_ms - diagnose->refilled_ms) / DIAGNOSE_REFILL_MS;
    if (due > 0) {
        diagnose->refilled_ms += due * DIAGNOSE_REFILL_MS;
        uint64_t tokens = diagnose->tokens + due;
        diagnose->tokens = tokens < DIAGNOSE_BURST ? (uint32_t)tokens : DIAGNOSE_BURST;
    }
    if (diagnose->tokens == 0) {
        return false;
    }
    diagnose->tokens--;
    return true;
}

// --- A run
// ---------------------------------------------------------------------------------------

static void diagnosis_free(struct diagnosis *diagnosis)
{
    timer_stop(&diagnosis->deadline);
    deferred_cancel(&diagnosis->turn);
    snapshot_unref(diagnosis->snapshot);
    service_free(diagnosis->service);
    rm_free(diagnosis->looks);
    rm_free(diagnosis->findings);
    rm_free(diagnosis->expected);
    rm_free(diagnosis->sni);
    rm_free(diagnosis->alpn);
    rm_free(diagnosis);
}

static void diagnosis_drop_work(struct diagnosis *diagnosis)
{
    dial_cancel(&diagnosis->dial);
    target_cancel(diagnosis);
    service_cancel(diagnosis);
}

void diagnosis_cancel(struct diagnosis *diagnosis)
{
    diagnosis_drop_work(diagnosis);
    diagnosis->owner->running = NULL;
    diagnosis_free(diagnosis);
}

void diagnosis_end(struct diagnosis *diagnosis)
{
    bool is_well =
        !diagnosis_has(diagnosis, DIAGNOSE_ERROR) && !diagnosis_has(diagnosis, DIAGNOSE_WARNING);
    diagnosis->owner->running = NULL;
    for (int severity = DIAGNOSE_ERROR; severity >= (int)DIAGNOSE_NOTE; severity--) {
        for (size_t i = 0; i < diagnosis->finding_count; i++) {
            if ((int)diagnosis->findings[i].severity == severity) {
                diagnosis->handler.on_finding(diagnosis->context, &diagnosis->findings[i]);
            }
        }
    }
    diagnosis->handler.on_end(diagnosis->context, is_well);
    diagnosis_free(diagnosis);
}

static void diagnosis_cut(struct diagnosis *diagnosis, const char *why)
{
    diagnosis_drop_work(diagnosis);
    finding_add(diagnosis, FAULT_DIAGNOSIS_CUT, "%s", why);
    diagnosis_end(diagnosis);
}

static void diagnosis_on_turn(void *context)
{
    struct diagnosis *diagnosis = context;
    read_own_certificate(diagnosis);
    if (diagnosis->service != NULL) {
        service_start(diagnosis);
    } else {
        target_start(diagnosis);
    }
}

static void diagnosis_on_deadline(void *context)
{
    diagnosis_cut(context, "it took too long");
}

static enum rm_err diagnosis_prepare(struct diagnosis *diagnosis,
                                     const struct diagnose_request *request, struct rm_error *error)
{
    diagnosis->findings = rm_calloc(DIAGNOSE_MAX_FINDINGS, sizeof(*diagnosis->findings));
    if (diagnosis->findings == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    if ((request->target == NULL) == (request->service == NULL)) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "say either an address or a service, and not both");
    }
    RM_TRY(request->service != NULL ? service_prepare(diagnosis, request, error)
                                    : target_prepare(diagnosis, request, error));
    return timer_start(&diagnosis->deadline, DIAGNOSE_DEADLINE_MS);
}

static struct diagnosis *diagnosis_new(struct diagnose *diagnose, struct snapshot *snapshot,
                                       const struct diagnose_handler *handler, void *context)
{
    struct diagnosis *diagnosis = rm_calloc(1, sizeof(*diagnosis));
    if (diagnosis == NULL) {
        return NULL;
    }
    diagnosis->owner = diagnose;
    diagnosis->snapshot = snapshot_ref(snapshot);
    diagnosis->own = snapshot_own(snapshot, 0);
    diagnosis->handler = *handler;
    diagnosis->context = context;
    diagnosis->dial.loop = diagnose->loop;
    diagnosis->dial.resolver = diagnose->resolver;
    diagnosis->dial.context = diagnosis;
    timer_init(&diagnosis->deadline, diagnose->loop, diagnosis_on_deadline, diagnosis);
    deferred_init(&diagnosis->turn, diagnosis_on_turn, diagnosis);
    return diagnosis;
}

enum rm_err diagnose_start(struct diagnose *diagnose, struct snapshot *snapshot,
                           const struct diagnose_request *request,
                           const struct diagnose_handler *handler, void *context,
                           struct diagnosis **out, struct rm_error *error)
{
    if (diagnose->running != NULL) {
        return rm_error_set(error, RM_ERR_BUSY,
                            "another diagnosis is under way; ask again when it is done");
    }
    if (!diagnose_may_start(diagnose)) {
        return rm_error_set(error, RM_ERR_LIMIT,
                            "too many diagnoses of late; one more is possible every %d s",
                            DIAGNOSE_REFILL_MS / 1000);
    }
    struct diagnosis *diagnosis = diagnosis_new(diagnose, snapshot, handler, context);
    if (diagnosis == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result = diagnosis_prepare(diagnosis, request, error);
    if (result != RM_OK) {
        diagnosis_free(diagnosis);
        return result;
    }
    diagnose->running = diagnosis;
    deferred_schedule(diagnose->loop, &diagnosis->turn);
    *out = diagnosis;
    return RM_OK;
}
