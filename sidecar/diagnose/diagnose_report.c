// SPDX-License-Identifier: GPL-3.0-or-later
#include "diagnose/diagnose_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *diagnose_severity_name(enum diagnose_severity severity)
{
    static const char *const names[] = {"note", "warning", "error"};
    return names[severity <= DIAGNOSE_ERROR ? severity : DIAGNOSE_ERROR];
}

const char *diagnose_outcome_name(enum diagnose_outcome outcome)
{
    static const char *const names[] = {"passed", "failed", "skipped"};
    return names[outcome <= DIAGNOSE_SKIPPED ? outcome : DIAGNOSE_FAILED];
}

// --- Text
// ----------------------------------------------------------------------------------------

// What a peer wrote ends up on a terminal.
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x20 || *text > 0x7e) {
            *text = '?';
        }
    }
}

static void write_text(char out[DIAGNOSE_VALUE_BYTES], const char *format, va_list args)
{
    vsnprintf(out, DIAGNOSE_VALUE_BYTES, format, args);
    make_printable(out);
}

// --- Steps
// ---------------------------------------------------------------------------------------

struct diagnose_step step_new(const char *name, enum diagnose_outcome outcome)
{
    return (struct diagnose_step){.name = name, .outcome = outcome};
}

void step_say(struct diagnose_step *step, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_text(step->text, format, args);
    va_end(args);
}

void step_add(struct diagnose_step *step, const char *key, const char *format, ...)
{
    va_list args;
    if (step->fact_count == DIAGNOSE_MAX_FACTS) {
        return;
    }
    struct diagnose_fact *fact = &step->facts[step->fact_count++];
    fact->key = key;
    va_start(args, format);
    write_text(fact->value, format, args);
    va_end(args);
}

void step_tell(struct diagnosis *diagnosis, const struct diagnose_step *step)
{
    diagnosis->handler.on_step(diagnosis->context, step);
}

// --- Findings
// ------------------------------------------------------------------------------------

// What is not listed makes a call fail.
static enum diagnose_severity severity_of(enum fault fault)
{
    switch ((int)fault) {
    case FAULT_CLIENT_CERTIFICATE_NOT_WANTED:
    case FAULT_ALPN_IGNORED:
    case FAULT_GROUP_NEEDS_RETRY:
    case FAULT_ENDPOINT_NOT_READY:
    case FAULT_ENDPOINT_SET_ASIDE:
        return DIAGNOSE_NOTE;
    case FAULT_CERTIFICATE_ENDS_SOON:
    case FAULT_CLOCK_DIFFERS:
    case FAULT_WRONG_NAME:
    case FAULT_VIEW_STALE:
    case FAULT_DRAINING:
        return DIAGNOSE_WARNING;
    default:
        return DIAGNOSE_ERROR;
    }
}

static bool finding_is_there(const struct diagnosis *diagnosis, enum fault fault,
                             const char *detail)
{
    for (size_t i = 0; i < diagnosis->finding_count; i++) {
        if (diagnosis->findings[i].fault == fault &&
            strcmp(diagnosis->findings[i].detail, detail) == 0) {
            return true;
        }
    }
    return false;
}

void finding_add(struct diagnosis *diagnosis, enum fault fault, const char *format, ...)
{
    char detail[DIAGNOSE_VALUE_BYTES];
    va_list args;
    va_start(args, format);
    write_text(detail, format, args);
    va_end(args);
    if (finding_is_there(diagnosis, fault, detail) ||
        diagnosis->finding_count == DIAGNOSE_MAX_FINDINGS) {
        return;
    }
    struct diagnose_finding *finding = &diagnosis->findings[diagnosis->finding_count++];
    finding->severity = severity_of(fault);
    finding->fault = fault;
    memcpy(finding->detail, detail, sizeof(detail));
}

void finding_add_failure(struct diagnosis *diagnosis, const struct tls_failure *failure)
{
    finding_add(diagnosis, failure->fault, "%s", failure->detail);
}

bool diagnosis_has(const struct diagnosis *diagnosis, enum diagnose_severity severity)
{
    for (size_t i = 0; i < diagnosis->finding_count; i++) {
        if (diagnosis->findings[i].severity == severity) {
            return true;
        }
    }
    return false;
}
