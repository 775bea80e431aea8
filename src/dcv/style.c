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

bool dcv_style_cleans_failures(enum dcv_style style)
{
    return style == DCV_STYLE_OWN || style == DCV_STYLE_CERTBOT || style == DCV_STYLE_LEGO;
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

/* Where a variable stands; the end: it does not. */
static size_t find_variable(const struct dcv_call *call, const char *name)
{
    size_t len = strlen(name);
    size_t at = 0;

    while (at < call->env_count &&
           (strncmp(call->env[at], name, len) != 0 || call->env[at][len] != '=')) {
        at++;
    }
    return at;
}

/* Of two variables with one name, programs would take whichever they like. */
bool dcv_call_setenv(struct dcv_call *call, const char *name, const char *value)
{
    size_t at = find_variable(call, name);
    char *pair = NULL;

    if (at + 1 >= DCV_ENV_MAX || asprintf(&pair, "%s=%s", name, value) < 0) {
        return false;
    }
    if (at < call->env_count) {
        free(call->env[at]);
    } else {
        call->env_count++;
    }
    call->env[at] = pair;
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

/* From 1.7.6 on uacme says the same by variables. */
static bool call_uacme(enum dcv_step step, const struct dcv_record *record, struct dcv_call *call)
{
    static const char *const steps[] = {"begin", "done", "failed"};
    static const char *const names[] = {"UACME_METHOD", "UACME_TYPE", "UACME_IDENT", "UACME_TOKEN",
                                        "UACME_AUTH"};
    const char *args[] = {steps[step], acme_types[record->kind], record->domain, token_of(record),
                          record->value};

    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        if (!dcv_call_setenv(call, names[i], args[i])) {
            return false;
        }
    }
    return add_args(call, args, ARRAY_LEN(args));
}

static bool call_dehydrated(enum dcv_step step, const struct dcv_record *record,
                            struct dcv_call *call)
{
    const char *args[] = {step == DCV_PUBLISH ? "deploy_challenge" : "clean_challenge",
                          record->domain, token_of(record), record->value};

    return add_args(call, args, ARRAY_LEN(args));
}

/* As certbot does: without what is blank at its ends, a line end above all. */
static bool set_output(const char *output, struct dcv_call *call)
{
    AUTO(str) char *copy = str_dup(output != NULL ? output : "");

    return copy != NULL && dcv_call_setenv(call, "CERTBOT_AUTH_OUTPUT", str_trim(copy));
}

/* (_IDENTIFIER is the newer name of _DOMAIN.) */
static bool call_certbot(enum dcv_step step, const struct dcv_record *record, const char *output,
                         struct dcv_call *call)
{
    return dcv_call_setenv(call, "CERTBOT_DOMAIN", record->domain) &&
           dcv_call_setenv(call, "CERTBOT_IDENTIFIER", record->domain) &&
           dcv_call_setenv(call, "CERTBOT_VALIDATION", record->value) &&
           dcv_call_setenv(call, "CERTBOT_ALL_DOMAINS", record->domain) &&
           dcv_call_setenv(call, "CERTBOT_ALL_IDENTIFIERS", record->domain) &&
           dcv_call_setenv(call, "CERTBOT_REMAINING_CHALLENGES", "0") &&
           (record->kind != DCV_FILE || dcv_call_setenv(call, "CERTBOT_TOKEN", token_of(record))) &&
           (step == DCV_PUBLISH || set_output(output, call));
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

/* One character string, as in a zone file; free() it. */
static char *quote(const char *text)
{
    AUTO(buf) struct buf out = BUF_INIT(1024);

    buf_add_str(&out, "\"");
    for (const char *p = text; *p != '\0'; p++) {
        buf_addf(&out, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
    }
    buf_add_str(&out, "\"");
    return buf_ok(&out) ? buf_take_str(&out) : NULL;
}

bool dcv_style_call(enum dcv_style style, bool quoted, enum dcv_step step,
                    const struct dcv_record *record, const char *output, struct dcv_call *call,
                    struct err *err)
{
    AUTO(str) char *text = quoted && record->kind == DCV_TXT ? quote(record->value) : NULL;
    struct dcv_record given = *record;
    bool ok = set_ours(step, record, call);

    if (quoted && record->kind == DCV_TXT) {
        given.value = text;
        ok = ok && text != NULL;
    }
    switch (style) {
    case DCV_STYLE_OWN:
        ok = ok && call_own(step, &given, call);
        break;
    case DCV_STYLE_UACME:
        ok = ok && call_uacme(step, &given, call);
        break;
    case DCV_STYLE_DEHYDRATED:
        ok = ok && call_dehydrated(step, &given, call);
        break;
    case DCV_STYLE_CERTBOT:
        ok = ok && call_certbot(step, &given, output, call);
        break;
    case DCV_STYLE_LEGO:
        ok = ok && call_lego(step, &given, call);
        break;
    }
    return ok || err_nomem(err);
}
