#include "hsm/init_memory.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "hsm/module.h"
#include "hsm/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char folder[] = "inits";

static char *record_path(const char *label)
{
    const char *const parts[] = {label};

    return hsm_record_path(folder, parts, ARRAY_LEN(parts), ".init");
}

static void copy_value(char *out, size_t size, const char *value)
{
    (void)snprintf(out, size, "%.*s", (int)(size - 1), value);
}

/* hsm_record_line_fn */
static void take_line(void *ctx, const char *name, const char *value)
{
    struct hsm_unfinished_init *out = ctx;
    struct hsm_token_info *before = &out->before;
    uint64_t number = 0;

    if (str_equal(name, "time") && str_to_u64(value, INT64_MAX, &number)) {
        out->when_s = (int64_t)number;
    } else if (str_equal(name, "label")) {
        copy_value(before->label, sizeof(before->label), value);
    } else if (str_equal(name, "serial")) {
        copy_value(before->serial, sizeof(before->serial), value);
    } else if (str_equal(name, "manufacturer")) {
        copy_value(before->manufacturer, sizeof(before->manufacturer), value);
    } else if (str_equal(name, "model")) {
        copy_value(before->model, sizeof(before->model), value);
    }
}

bool hsm_init_memory_read(const char *label, struct hsm_unfinished_init *out, struct err *err)
{
    AUTO(str) char *path = record_path(label);

    *out = (struct hsm_unfinished_init){.known = false};
    if (path == NULL) {
        return hsm_process_state_dir() == NULL || err_nomem(err);
    }
    return hsm_record_read(path, take_line, out, &out->known, err) ||
           err_wrap(err, "what is remembered of the initialisation of a token '%s'", label);
}

void hsm_init_memory_begin(const char *label, const struct hsm_token_info *before)
{
    AUTO(str) char *path = record_path(label);
    AUTO(buf) struct buf text = BUF_INIT(HSM_RECORD_MAX);
    struct clock clock = clock_system(NULL);
    struct err err = ERR_INIT;

    if (path == NULL) {
        return;
    }
    buf_add_str(&text, "# This token was being initialised; p11enroll removes the file when it is "
                       "done.\n");
    buf_addf(&text, "time=%lld\n", (long long)clock_wall_s(&clock));
    hsm_record_add(&text, "label", before->label);
    hsm_record_add(&text, "serial", before->serial);
    hsm_record_add(&text, "manufacturer", before->manufacturer);
    hsm_record_add(&text, "model", before->model);
    if (!hsm_record_write(path, folder, &text, &err)) {
        log_line(LOG_WARN, "hsm",
                 "if the initialisation of '%s' is interrupted, the next run will not know of it: "
                 "%s",
                 label, err.msg);
    }
}

void hsm_init_memory_end(const char *label)
{
    AUTO(str) char *path = record_path(label);

    if (path != NULL) {
        hsm_record_remove(path);
    }
}
