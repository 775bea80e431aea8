#include "hsm/pin_memory.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/module.h"
#include "hsm/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char folder[] = "pins";

static char *record_path(const struct hsm_token_info *info, CK_USER_TYPE user)
{
    const char *const parts[] = {info->manufacturer, info->model, info->serial, info->label};

    return hsm_record_path(folder, parts, ARRAY_LEN(parts), user == CKU_SO ? ".so" : ".user");
}

static void copy_value(char *out, size_t size, const char *value)
{
    (void)snprintf(out, size, "%.*s", (int)(size - 1), value);
}

/* hsm_record_line_fn */
static void take_line(void *ctx, const char *name, const char *value)
{
    struct hsm_pin_record *out = ctx;
    uint64_t number = 0;

    if (str_equal(name, "outcome")) {
        out->outcome = str_equal(value, "trying") ? HSM_PIN_TRYING : HSM_PIN_FAILED;
    } else if (str_equal(name, "time") && str_to_u64(value, INT64_MAX, &number)) {
        out->when_s = (int64_t)number;
    } else if (str_equal(name, "source")) {
        copy_value(out->source, sizeof(out->source), value);
    } else if (str_equal(name, "stamp")) {
        copy_value(out->stamp, sizeof(out->stamp), value);
    } else if (str_equal(name, "code")) {
        copy_value(out->code, sizeof(out->code), value);
    }
}

bool hsm_pin_memory_read(const struct hsm_token_info *info, CK_USER_TYPE user,
                         struct hsm_pin_record *out, struct err *err)
{
    AUTO(str) char *path = record_path(info, user);
    struct hsm_pin_record record = {.outcome = HSM_PIN_FAILED}; /* damage is no permission */
    bool found = false;

    *out = (struct hsm_pin_record){.outcome = HSM_PIN_UNKNOWN};
    if (path == NULL) {
        return hsm_process_state_dir() == NULL || err_nomem(err);
    }
    if (!hsm_record_read(path, take_line, &record, &found, err)) {
        return err_wrap(err, "what is remembered of the last PIN of %s", hsm_token_name(info));
    }
    if (found) {
        *out = record;
    }
    return true;
}

static bool write_record(const struct hsm_token_info *info, CK_USER_TYPE user,
                         const struct hsm_pin_record *record, struct err *err)
{
    AUTO(str) char *path = record_path(info, user);
    AUTO(buf) struct buf text = BUF_INIT(HSM_RECORD_MAX);

    if (path == NULL) {
        return hsm_process_state_dir() == NULL || err_nomem(err);
    }
    buf_add_str(&text, "# The last PIN for this token; p11enroll removes it after a right one.\n");
    hsm_record_add(&text, "token", hsm_token_name(info));
    hsm_record_add(&text, "outcome", record->outcome == HSM_PIN_TRYING ? "trying" : "failed");
    buf_addf(&text, "time=%lld\n", (long long)record->when_s);
    hsm_record_add(&text, "source", record->source);
    hsm_record_add(&text, "stamp", record->stamp);
    hsm_record_add(&text, "code", record->code);
    return hsm_record_write(path, folder, &text, err);
}

void hsm_pin_memory_forget(const struct hsm_token_info *info, CK_USER_TYPE user)
{
    AUTO(str) char *path = record_path(info, user);

    if (path != NULL) {
        hsm_record_remove(path);
    }
}

/* Which content a file source has, without looking at it: a mended file is another one. */
static void stamp_of(const char *source, char *out, size_t size)
{
    const char *path = source == NULL                     ? NULL
                       : str_starts_with(source, "file:") ? source + strlen("file:")
                       : source[0] == '/'                 ? source
                                                          : NULL;
    struct stat st;

    out[0] = '\0';
    if (path != NULL && stat(path, &st) == 0) {
        (void)snprintf(out, size, "%llu:%lld.%09ld", (unsigned long long)st.st_ino,
                       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
}

static const char *source_of(const struct hsm_pin *pin)
{
    return pin != NULL && pin->source != NULL ? pin->source : "the calling program";
}

static struct hsm_pin_record record_of(const struct hsm_pin *pin)
{
    struct clock clock = clock_system(NULL);
    struct hsm_pin_record record = {.outcome = HSM_PIN_TRYING, .when_s = clock_wall_s(&clock)};

    copy_value(record.source, sizeof(record.source), source_of(pin));
    stamp_of(pin != NULL ? pin->source : NULL, record.stamp, sizeof(record.stamp));
    return record;
}

/*
 * Whether the token's flags themselves tell that the last PIN was not wrong. SoftHSM sets them with
 * every wrong PIN, so after a process was killed they are better than not knowing.
 */
static bool flags_clear_it(const struct hsm_token_info *info, CK_USER_TYPE user)
{
    bool low = user == CKU_SO ? info->so_pin_low : info->user_pin_low;

    return str_equal(info->manufacturer, "SoftHSM project") && !low;
}

static bool refuse(const struct hsm_token_info *info, const struct hsm_pin_record *record,
                   bool is_same, struct err *err)
{
    char when[CLOCK_TEXT_SIZE];

    clock_format(record->when_s, when);
    if (is_same) {
        return err_set(err, E_PIN_LOCKED,
                       "the PIN from %s was sent to %s at %s and refused (%s), and it has not "
                       "changed since, so it is not sent again: correct it, or repeat with "
                       "--try-pin-again",
                       record->source, hsm_token_name(info), when, record->code);
    }
    if (record->outcome == HSM_PIN_TRYING) {
        return err_set(err, E_PIN_LOCKED,
                       "a PIN from %s was being sent to %s at %s when the process ended, and "
                       "nobody knows whether it was right, so none is sent unattended: check the "
                       "PIN, then name it for one command with --pin-source, type it, or repeat "
                       "with --try-pin-again",
                       record->source, hsm_token_name(info), when);
    }
    return err_set(err, E_PIN_LOCKED,
                   "the last PIN for %s, from %s at %s, was refused (%s), so none is sent "
                   "unattended: correct it, then name it for one command with --pin-source, type "
                   "it, or repeat with --try-pin-again",
                   hsm_token_name(info), record->source, when,
                   record->code[0] != '\0' ? record->code : "unknown");
}

bool hsm_pin_memory_allows(const struct hsm_token_info *info, CK_USER_TYPE user,
                           const struct hsm_pin *pin, struct err *err)
{
    struct hsm_pin_record record;
    bool is_person = pin != NULL && (pin->interactive || pin->again);
    bool is_meant = pin != NULL && pin->deliberate;
    char stamp[sizeof(record.stamp)];

    if (info->pin_pad || is_person) {
        return true;
    }
    if (!hsm_pin_memory_read(info, user, &record, err)) {
        return false;
    }
    if (record.outcome == HSM_PIN_UNKNOWN ||
        (record.outcome == HSM_PIN_TRYING && flags_clear_it(info, user))) {
        return true;
    }
    stamp_of(pin != NULL ? pin->source : NULL, stamp, sizeof(stamp));
    bool is_same = record.outcome == HSM_PIN_FAILED && str_equal(record.source, source_of(pin)) &&
                   str_equal(record.stamp, stamp);
    if (is_meant && !is_same) {
        return true;
    }
    return refuse(info, &record, is_meant && is_same, err);
}

bool hsm_pin_try_begin(const struct hsm_token_info *info, CK_USER_TYPE user,
                       const struct hsm_pin *pin, struct hsm_pin_try *attempt, struct err *err)
{
    struct hsm_pin_record record;
    struct err why = ERR_INIT;

    *attempt = (struct hsm_pin_try){.noted = false};
    if (info->pin_pad || hsm_process_state_dir() == NULL) {
        return true;
    }
    record = record_of(pin);
    if (hsm_pin_memory_read(info, user, &attempt->before, &why) &&
        write_record(info, user, &record, &why)) {
        attempt->noted = true;
        return true;
    }
    if (pin != NULL && (pin->interactive || pin->deliberate || pin->again)) {
        log_line(LOG_WARN, "hsm", "what becomes of this PIN is not remembered: %s", why.msg);
        return true;
    }
    *err = why;
    return err_wrap(err,
                    "no PIN is sent unattended to %s while what becomes of it cannot be "
                    "written down",
                    hsm_token_name(info));
}

static void put_back(const struct hsm_token_info *info, CK_USER_TYPE user,
                     const struct hsm_pin_record *before, struct err *err)
{
    if (before->outcome == HSM_PIN_UNKNOWN) {
        hsm_pin_memory_forget(info, user);
    } else if (!write_record(info, user, before, err)) {
        log_line(LOG_WARN, "hsm", "%s", err->msg);
    }
}

void hsm_pin_try_end(const struct hsm_token_info *info, CK_USER_TYPE user,
                     const struct hsm_pin *pin, const struct hsm_pin_try *attempt, CK_RV rv,
                     bool was_sent)
{
    struct err err = ERR_INIT;

    if (info->pin_pad || hsm_process_state_dir() == NULL) {
        return;
    }
    if (rv == CKR_OK) {
        hsm_pin_memory_forget(info, user);
        return;
    }
    /* "Already logged in" says nothing about a PIN. */
    if (!was_sent || rv == CKR_USER_ALREADY_LOGGED_IN) {
        if (attempt != NULL && attempt->noted) {
            put_back(info, user, &attempt->before, &err);
        }
        return;
    }
    struct hsm_pin_record record = record_of(pin);
    record.outcome = HSM_PIN_FAILED;
    copy_value(record.code, sizeof(record.code), ckr_name(rv));
    if (!write_record(info, user, &record, &err)) {
        log_line(LOG_WARN, "hsm", "that this PIN was wrong is not remembered: %s", err.msg);
    }
}
