#include "cli/dcv.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    LIST_MAX = 1 << 20,
    DOMAINS_MAX = 10000,
    LOOK_MS = 6000,
    RENEW_BEFORE_DAYS = 30,
    LINE_MAX_BYTES = 16 * 1024
};

static const struct out_column columns[] = {
    {"domain", "DOMAIN", 32, false},
    {"result", "RESULT", 15, false},
    {"expires", "EXPIRES", 10, false},
    {"problem", "PROBLEM", 0, false},
};

/* The domains: operands and lines of a file, each once. Text of the file in `text`. */
struct domains {
    struct buf text;
    const char **list;
    size_t count;
};

static void domains_done(struct domains *domains)
{
    buf_done(&domains->text);
    free(domains->list);
}

DEFINE_AUTO_DONE(domains, struct domains, domains_done)

ANALYZER_LOSES_OWNER
static bool add_domain(struct domains *domains, const char *name, struct err *err)
{
    for (size_t i = 0; i < domains->count; i++) {
        if (strcasecmp(domains->list[i], name) == 0) {
            return true;
        }
    }
    if (domains->count == DOMAINS_MAX) {
        return err_set(err, E_USAGE, "more than %d domains at a time", DOMAINS_MAX);
    }
    const char **grown = reallocarray(domains->list, domains->count + 1, sizeof(*grown));
    if (grown == NULL) {
        return err_nomem(err);
    }
    domains->list = grown;
    domains->list[domains->count++] = name;
    return true;
}
ANALYZER_LOSES_OWNER_END

/* A name a line; what stands behind '#' is for people. */
static bool read_file(const char *path, struct domains *domains, struct err *err)
{
    char *rest = NULL;

    if (!file_read(path, &domains->text, err)) {
        return false;
    }
    char *text = (char *)domains->text.data;
    for (char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, "#")] = '\0';
        char *name = str_trim(line);
        if (name[0] != '\0' && !add_domain(domains, name, err)) {
            return false;
        }
    }
    return true;
}

static bool collect(struct cli *cli, const char *from, struct domains *domains, struct err *err)
{
    for (size_t i = 0; i < cli->operand_count; i++) {
        if (!add_domain(domains, cli->operands[i], err)) {
            return false;
        }
    }
    if (from != NULL && !read_file(from, domains, err)) {
        return err_wrap(err, "--from");
    }
    return domains->count > 0 ||
           err_set(err, E_USAGE,
                   from != NULL ? "the file names no domain"
                                : "name a domain, or a file of them with --from");
}

static void say(void *ctx, const char *domain, const char *what, int64_t wait_ms)
{
    const struct cli *cli = ctx;
    AUTO(buf) struct buf line = BUF_INIT(LINE_MAX_BYTES);

    if (cli->common.quiet) {
        return;
    }
    str_add_quotable(&line, domain, strlen(domain), LINE_MAX_BYTES / 16);
    buf_add_str(&line, ": ");
    str_add_quotable(&line, what, strlen(what), LINE_MAX_BYTES / 8);
    if (wait_ms > 0) {
        buf_addf(&line, " (again in %lld s)", (long long)((wait_ms + 999) / 1000));
    }
    (void)fprintf(stderr, "%s\n", buf_str(&line));
}

/* An option names a file from where we are; hooks are started from the root. */
static bool absolute(const char *path, char out[static PATH_MAX], struct err *err)
{
    return realpath(path, out) != NULL || err_set_errno(err, E_CONFIG, errno, "--hook %s", path);
}

static bool choose(const struct cli *cli, const struct opts_dcv_publish *opts, char *hook_path,
                   char *cleanup_path, struct app_dcv_publish *request, struct err *err)
{
    const struct config_ca *ca = cli->selection.ca;
    const char *method = opts->method != NULL ? opts->method : ca->dcv_method;
    const char *style = opts->style != NULL ? opts->style : ca->dcv_hook_style;
    const char *cleanup = opts->cleanup_hook != NULL ? opts->cleanup_hook
                          : opts->hook != NULL       ? NULL
                                                     : ca->dcv_cleanup_hook;

    request->hook = (struct dcv_hook){.path = ca->dcv_hook,
                                      .quoted = ca->dcv_hook_quoted,
                                      .environment = ca->dcv_hook_env,
                                      .timeout_ms = ca->dcv_hook_timeout_s * 1000,
                                      .stop = cli->env->stop};
    request->look = (struct dcv_look){
        .dns_servers = opts->dns_servers != NULL ? opts->dns_servers : ca->dns_servers,
        .web_server = opts->web_server != NULL ? opts->web_server : ca->web_server,
        .web_trust = ca->web_trust,
        .timeout_ms = LOOK_MS,
        .stop = cli->env->stop};
    if (opts->hook != NULL) {
        if (!absolute(opts->hook, hook_path, err)) {
            return false;
        }
        request->hook.path = hook_path;
    }
    if (cleanup != NULL) {
        if (!absolute(cleanup, cleanup_path, err)) {
            return false;
        }
        request->hook.cleanup_path = cleanup_path;
    }
    request->renew_before_days = RENEW_BEFORE_DAYS;
    request->again = opts->again;
    return cli_read_number(opts->renew_before, "renew-before", &request->renew_before_days, err) &&
           ca_dcv_method_find(method, &request->method, err) &&
           dcv_style_find(style, &request->hook.style, err);
}

static const char *result_word(enum app_dcv_result result)
{
    switch (result) {
    case APP_DCV_VALIDATED:
        return "validated";
    case APP_DCV_WAS_VALIDATED:
        return "still validated";
    case APP_DCV_PENDING:
        return "pending";
    case APP_DCV_FAILED:
        return "failed";
    case APP_DCV_NOT_TRIED:
        break;
    }
    return "not tried";
}

static void print_reports(struct cli *cli, const struct app_dcv_report *reports, size_t count)
{
    out_table(&cli->out, "domains", columns, ARRAY_LEN(columns), NULL);
    for (size_t i = 0; i < count; i++) {
        const struct app_dcv_report *report = &reports[i];
        const char *cells[] = {report->domain, result_word(report->result),
                               report->expires[0] != '\0' ? report->expires : NULL,
                               report->err.code != E_NONE ? report->err.msg : NULL};
        out_row(&cli->out, cells);
    }
    out_table_end(&cli->out);
}

DEFINE_AUTO(reports, struct app_dcv_report *, free)

bool cmd_dcv_publish(struct cli *cli, struct err *err)
{
    const struct opts_dcv_publish *opts = cli->opts;
    AUTO(domains) struct domains domains = {.text = BUF_INIT(LIST_MAX)};
    struct app_dcv_publish request = {.say = say, .say_ctx = cli};
    char hook_path[PATH_MAX];
    char cleanup_path[PATH_MAX];

    if (!collect(cli, opts->from, &domains, err) ||
        !choose(cli, opts, hook_path, cleanup_path, &request, err) || !cli_app(cli, err)) {
        return false;
    }
    request.domains = domains.list;
    request.count = domains.count;
    AUTO(reports) struct app_dcv_report *reports = calloc(domains.count, sizeof(*reports));
    if (reports == NULL) {
        return err_nomem(err);
    }
    bool ok = app_dcv_publish(&cli->app, &request, reports, err);
    print_reports(cli, reports, domains.count);
    return ok;
}
