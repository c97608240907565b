// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora diagnose: asked of the sidecar, which has the key, the trust and the place in the network.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "commands.h"
#include "diagnose_wire.h"
#include "show.h"

#define DIAGNOSE_LEAST_TIMEOUT_MS 60000 // a sidecar gives up by itself before

// What is shown, as it comes or, in JSON, at the end.
struct diagnosis_view {
    bool is_json;
    bool has_end;          // the last message came
    bool is_well;          // what it said
    size_t finding_count;  // so far
    struct json *steps;    // owned; NULL unless is_json
    struct json *findings; // the same
};

// --- For people.

// At least `width` wide, then `end`.
static void print_safe(const char *text, int width, const char *end)
{
    char *safe = printable_dup(text);
    printf("%-*s%s", width, safe != NULL ? safe : "?", end);
    rm_free(safe);
}

static const char *mark_of(const char *outcome)
{
    if (strcmp(outcome, "passed") == 0) {
        return "ok";
    }
    return strcmp(outcome, "failed") == 0 ? "FAIL" : "-";
}

static void print_step(const struct wire_diagnose_step *step)
{
    print_safe(step->name, 19, "");
    printf("%-5s", mark_of(step->outcome));
    print_safe(step->text, 0, "");
    if (step->took_us > 0) {
        printf(" (%llu.%llu ms)", (unsigned long long)step->took_us / 1000,
               (unsigned long long)step->took_us / 100 % 10);
    }
    putchar('\n');
    (void)fflush(stdout); // a step may take seconds
}

static void print_line(const char *title, const char *text)
{
    if (text[0] != '\0') {
        printf("  %-8s", title);
        print_safe(text, 0, "\n");
    }
}

static void print_finding(const struct wire_diagnose_finding *finding)
{
    putchar('\n');
    print_safe(finding->severity, 0, " ");
    print_safe(finding->name, 0, ": ");
    print_safe(finding->what, 0, "\n");
    print_line("found", finding->detail);
    print_line("likely", finding->cause);
    print_line("do", finding->remedy);
}

// --- For scripts.

static bool add_step(struct json *steps, const struct wire_diagnose_step *step)
{
    struct json *entry = json_object_new();
    struct json *facts = json_object_new();
    bool is_whole = facts != NULL;
    for (size_t i = 0; is_whole && i < step->fact_count; i++) {
        const char *key = NULL;
        const char *value = NULL;
        wire_diagnose_fact(step, i, &key, &value);
        is_whole = json_set_string(facts, key, value);
    }
    is_whole = is_whole && json_set_string(entry, "name", step->name) &&
               json_set_string(entry, "outcome", step->outcome) &&
               json_set_string(entry, "text", step->text) &&
               json_set_integer(entry, "took_us", (int64_t)step->took_us);
    is_whole = json_set(entry, "facts", facts) && is_whole;
    return json_append(steps, entry) && is_whole;
}

static bool add_finding(struct json *findings, const struct wire_diagnose_finding *finding)
{
    struct json *entry = json_object_new();
    bool is_whole = json_set_string(entry, "severity", finding->severity) &&
                    json_set_string(entry, "name", finding->name) &&
                    json_set_string(entry, "what", finding->what) &&
                    show_set_text(entry, "detail", finding->detail) &&
                    json_set_string(entry, "cause", finding->cause) &&
                    json_set_string(entry, "remedy", finding->remedy);
    return json_append(findings, entry) && is_whole;
}

// --- What comes.

static enum rm_err diagnose_on_step(void *context, const struct wire_diagnose_step *step)
{
    struct diagnosis_view *view = context;
    if (view->is_json) {
        return add_step(view->steps, step) ? RM_OK : RM_ERR_NO_MEMORY;
    }
    print_step(step);
    return RM_OK;
}

static enum rm_err diagnose_on_finding(void *context, const struct wire_diagnose_finding *finding)
{
    struct diagnosis_view *view = context;
    view->finding_count++;
    if (view->is_json) {
        return add_finding(view->findings, finding) ? RM_OK : RM_ERR_NO_MEMORY;
    }
    print_finding(finding);
    return RM_OK;
}

static enum rm_err diagnose_on_end(void *context, bool is_well)
{
    struct diagnosis_view *view = context;
    view->has_end = true;
    view->is_well = is_well;
    return RM_OK;
}

static enum rm_err diagnose_on_message(void *context, const uint8_t *bytes, size_t length)
{
    const struct wire_diagnose_visitor visitor = {
        .step = diagnose_on_step,
        .finding = diagnose_on_finding,
        .end = diagnose_on_end,
        .context = context,
    };
    return wire_read_diagnose(bytes, length, &visitor);
}

// --- The command.

static enum cli_exit show_end(struct diagnosis_view *view)
{
    enum cli_exit status = view->is_well ? CLI_OK : CLI_REFUSED;
    if (!view->is_json) {
        if (view->is_well) {
            printf("\nNothing is wrong.\n");
        }
        return status;
    }
    struct json *object = json_object_new();
    bool is_whole = json_set_bool(object, "well", view->is_well);
    is_whole = json_set(object, "findings", view->findings) && is_whole;
    is_whole = json_set(object, "steps", view->steps) && is_whole;
    view->findings = NULL;
    view->steps = NULL;
    enum cli_exit shown = show_json(object, is_whole);
    return shown == CLI_OK ? status : shown;
}

static enum cli_exit ask(const struct args *args, const struct wire_diagnose *wanted,
                         struct diagnosis_view *view)
{
    struct args patient = *args;
    struct wire_bytes request = {0};
    const struct exchange_question question = {
        .peer = EXCHANGE_SIDECAR,
        .method = "Diagnose",
        .request = &request,
        .on_message = diagnose_on_message,
        .context = view,
    };
    if (patient.timeout_ms < DIAGNOSE_LEAST_TIMEOUT_MS) {
        patient.timeout_ms = DIAGNOSE_LEAST_TIMEOUT_MS;
    }
    enum rm_err result = wire_diagnose(wanted, &request);
    if (result != RM_OK) {
        return show_unsendable(result);
    }
    enum cli_exit status = exchange_stream(&patient, &question);
    if (status != CLI_OK) {
        return status;
    }
    return view->has_end ? show_end(view) : show_failure(RM_ERR_MALFORMED);
}

static bool has_option_of_target(const struct args *args)
{
    return args_has(args, "expect") || args_has(args, "sni") || args_has(args, "alpn");
}

enum cli_exit diagnose_run(const struct args *args)
{
    const struct wire_diagnose wanted = {
        .target = args->argument,
        .service = args_value(args, "service"),
        .expected = args_value(args, "expect"),
        .sni = args_value(args, "sni"),
        .alpn = args_value(args, "alpn"),
    };
    if ((wanted.target == NULL) == (wanted.service == NULL)) {
        fputs("remora: say either HOST:PORT or --service NAME\n", stderr);
        return CLI_USAGE;
    }
    if (wanted.service != NULL && has_option_of_target(args)) {
        fputs("remora: --expect, --sni and --alpn belong to HOST:PORT; a service's record says "
              "whom to expect\n",
              stderr);
        return CLI_USAGE;
    }
    struct diagnosis_view view = {.is_json = args->is_json};
    if (view.is_json) {
        view.steps = json_array_new();
        view.findings = json_array_new();
        if (view.steps == NULL || view.findings == NULL) {
            json_free(view.steps);
            json_free(view.findings);
            return show_failure(RM_ERR_NO_MEMORY);
        }
    }
    enum cli_exit status = ask(args, &wanted, &view);
    json_free(view.steps);
    json_free(view.findings);
    return status;
}
