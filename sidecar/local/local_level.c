// SPDX-License-Identifier: GPL-3.0-or-later
//
// SetLogLevel: another level than the configured one, for a while.
#include "base/clock.h"
#include "base/log.h"
#include "local/local_internal.h"

static enum log_level configured_level(const struct local *local)
{
    struct local_state state = {0};
    local->source.look(local->source.context, &state);
    return (enum log_level)state.snapshot->config->log_level;
}

void local_level_reset(struct local *local)
{
    timer_stop(&local->level_timer);
    local->level_ends_s = 0;
}

void local_on_level_timer(void *context)
{
    struct local *local = context;
    enum log_level level = configured_level(local);
    local_level_reset(local);
    log_level_set(level);
    log_info(LOG_LOCAL, "log_level_back", LOG_STR("level", log_level_name(level)));
}

struct local_level local_level_of(const struct local *local, const struct sidecar_config *config)
{
    return (struct local_level){
        .level = log_level_name(log_level_get()),
        .configured = log_level_name((enum log_level)config->log_level),
        .falls_back_at_s = local->level_ends_s,
    };
}

static enum rm_err set_level(struct local *local, enum log_level level, uint32_t duration_s)
{
    enum log_level before = log_level_get();
    local_level_reset(local);
    if (duration_s > 0) {
        RM_TRY(timer_start(&local->level_timer, (uint64_t)duration_s * 1000));
        local->level_ends_s = clock_wall_s() + duration_s;
    }
    // Said while more is written, so that the log tells why it grew or went quiet.
    log_level_set(level < before ? level : before);
    log_warn(LOG_LOCAL, "log_level_set", LOG_STR("level", log_level_name(level)),
             LOG_STR("before", log_level_name(before)), LOG_U64("for_s", duration_s));
    log_level_set(level);
    return RM_OK;
}

void local_set_log_level(struct local_call *call)
{
    struct local *local = call->local;
    const char *name = call->request.of.set_log_level.level;
    uint32_t duration_s = call->request.of.set_log_level.duration_s;
    enum log_level level = LOG_LEVEL_INFO;
    enum log_level before = log_level_get();
    if (log_level_parse(name, &level) != RM_OK) {
        local_call_refuse(call, RPC_INVALID_ARGUMENT,
                          "'%.32s' is no log level: debug, info, warn or error", name);
        return;
    }
    if (duration_s > LOCAL_MAX_LEVEL_S) {
        local_call_refuse(call, RPC_INVALID_ARGUMENT,
                          "a log level falls back after at most 24 hours; without a duration it "
                          "stays until the next reload");
        return;
    }
    enum rm_err result = set_level(local, level, duration_s);
    if (result == RM_OK) {
        struct local_state state = {0};
        local->source.look(local->source.context, &state);
        const struct local_level now = local_level_of(local, state.snapshot->config);
        result = local_wire_level(&call->response, &now, log_level_name(before));
    }
    local_call_answer(call, result);
}
