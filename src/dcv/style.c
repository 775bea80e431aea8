#include "dcv/dcv.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const style_names[] = {"p11enroll", "uacme", "dehydrated", "certbot", "lego"};
static const char *const kind_names[] = {"cname", "txt", "file"};
/* uacme's words are ACME's; a hook that does not know the first one says so by its status */
static const char *const acme_types[] = {"dns-cname-01", "dns-01", "http-01"};

bool dcv_style_find(const char *name, enum dcv_style *out, struct err *err)
{
    AUTO(buf) struct buf all = BUF_INIT(256);

    for (size_t i = 0; i < ARRAY_LEN(style_names); i++) {
        if (str_equal_nocase(style_names[i], name)) {
            *out = (enum dcv_style)i;
            return true;
        }
        buf_addf(&all, "%s%s", i > 0 ? ", " : "", style_names[i]);
    }
    return err_set(err, E_USAGE, "'%.40s' is no style of hooks; there are: %s", name,
                   buf_str(&all));
}

bool dcv_style_takes(enum dcv_style style, enum dcv_kind kind, struct err *err)
{
    switch (style) {
    case DCV_STYLE_OWN:
    case DCV_STYLE_UACME:
        return true;
    case DCV_STYLE_DEHYDRATED:
    case DCV_STYLE_CERTBOT:
        return kind != DCV_CNAME ||
               err_set(err, E_USAGE,
                       "hooks of the style '%s' know TXT records and files, but no CNAME; use "
                       "--method txt, http or https, or a hook of the style 'p11enroll'",
                       style_names[style]);
    case DCV_STYLE_LEGO:
        break;
    }
    return kind == DCV_TXT ||
           err_set(err, E_USAGE,
                   "hooks of the style '%s' know TXT records alone; use --method txt, or a hook of "
                   "the style 'p11enroll'",
                   style_names[style]);
}

void dcv_call_done(struct dcv_call *call)
{
    for (size_t i = 0; i < call->arg_count; i++) {
        free(call->args[i]);
    }
    for (size_t i = 0; i < call->env_count; i++) {
        free(call->env[i]);
    }
    *call = (struct dcv_call){.arg_count = 0};
}

bool dcv_call_setenv(struct dcv_call *call, const char *name, const char *value)
{
    char *pair = NULL;

    if (call->env_count + 1 >= DCV_ENV_MAX || asprintf(&pair, "%s=%s", name, value) < 0) {
        return false;
    }
    call->env[call->env_count++] = pair;
    return true;
}

static bool add_args(struct dcv_call *call, const char *const args[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (call->arg_count + 1 >= DCV_ARGS_MAX) {
            return false;
        }
        call->args[call->arg_count] = str_dup(args[i]);
        if (call->args[call->arg_count] == NULL) {
            return false;
        }
        call->arg_count++;
    }
    return true;
}

/* What ACME calls a token: the name of the file. For DNS, where ACME has none that counts, the
 * name of the record. */
static const char *token_of(const struct dcv_record *record)
{
    const char *slash = record->kind == DCV_FILE ? strrchr(record->name, '/') : NULL;

    return slash != NULL ? slash + 1 : record->name;
}

static bool call_own(enum dcv_step step, const struct dcv_record *record, struct dcv_call *call)
{
    const char *args[] = {step == DCV_PUBLISH ? "publish" : "remove", kind_names[record->kind],
                          record->domain, record->name, record->value};

    return add_args(call, args, ARRAY_LEN(args));
}

static bool call_uacme(enum dcv_step step, const struct dcv_record *record, struct dcv_call *call)
{
    static const char *const steps[] = {"begin", "done", "failed"};
    const char *args[] = {steps[step], acme_types[record->kind], record->domain, token_of(record),
                          record->value};

    return add_args(call, args, ARRAY_LEN(args));
}

static bool call_dehydrated(enum dcv_step step, const struct dcv_record *record,
                            struct dcv_call *call)
{
    const char *args[] = {step == DCV_PUBLISH ? "deploy_challenge" : "clean_challenge",
                          record->domain, token_of(record), record->value};

    return add_args(call, args, ARRAY_LEN(args));
}

static bool call_certbot(enum dcv_step step, const struct dcv_record *record, const char *output,
                         struct dcv_call *call)
{
    return dcv_call_setenv(call, "CERTBOT_DOMAIN", record->domain) &&
           dcv_call_setenv(call, "CERTBOT_VALIDATION", record->value) &&
           dcv_call_setenv(call, "CERTBOT_ALL_DOMAINS", record->domain) &&
           dcv_call_setenv(call, "CERTBOT_REMAINING_CHALLENGES", "0") &&
           (record->kind != DCV_FILE || dcv_call_setenv(call, "CERTBOT_TOKEN", token_of(record))) &&
           (step == DCV_PUBLISH ||
            dcv_call_setenv(call, "CERTBOT_AUTH_OUTPUT", output != NULL ? output : ""));
}

static bool call_lego(enum dcv_step step, const struct dcv_record *record, struct dcv_call *call)
{
    AUTO(buf) struct buf fqdn = BUF_INIT(300);

    buf_addf(&fqdn, "%s.", record->name);
    const char *args[] = {step == DCV_PUBLISH ? "present" : "cleanup", buf_str(&fqdn),
                          record->value};
    return buf_ok(&fqdn) && add_args(call, args, ARRAY_LEN(args));
}

/* Whatever the style: so that a script of an ACME client can be taught the right name. */
static bool set_ours(enum dcv_step step, const struct dcv_record *record, struct dcv_call *call)
{
    return dcv_call_setenv(call, "P11ENROLL_STEP", step == DCV_PUBLISH ? "publish" : "remove") &&
           dcv_call_setenv(call, "P11ENROLL_KIND", kind_names[record->kind]) &&
           dcv_call_setenv(call, "P11ENROLL_DOMAIN", record->domain) &&
           dcv_call_setenv(call, "P11ENROLL_NAME", record->name) &&
           dcv_call_setenv(call, "P11ENROLL_VALUE", record->value) &&
           (record->url == NULL || dcv_call_setenv(call, "P11ENROLL_URL", record->url));
}

bool dcv_style_call(enum dcv_style style, enum dcv_step step, const struct dcv_record *record,
                    const char *output, struct dcv_call *call, struct err *err)
{
    bool ok = set_ours(step, record, call);

    switch (style) {
    case DCV_STYLE_OWN:
        ok = ok && call_own(step, record, call);
        break;
    case DCV_STYLE_UACME:
        ok = ok && call_uacme(step, record, call);
        break;
    case DCV_STYLE_DEHYDRATED:
        ok = ok && call_dehydrated(step, record, call);
        break;
    case DCV_STYLE_CERTBOT:
        ok = ok && call_certbot(step, record, output, call);
        break;
    case DCV_STYLE_LEGO:
        ok = ok && call_lego(step, record, call);
        break;
    }
    return ok || err_nomem(err);
}
