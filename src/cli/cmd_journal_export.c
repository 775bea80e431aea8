/* journal export: every order with its history, an order at a time. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The version of what is written; p11enroll-journal(1), EXPORT. */
enum { EXPORT_SCHEMA = 1 };

/* What an order is made of. Rows of CSV have what stands in one line. */
enum kind { TEXT, NUMBER, YES_NO, TIME, PEM, DIGEST, ID, STATE, ORIGIN, KIND };

struct field {
    const char *key;
    enum kind kind;
    size_t offset;
};

#define AT(name) offsetof(struct order, name)

/* clang-format off */
static const struct field fields[] = {
    {"order",              NUMBER, AT(id)},
    {"mark",               STATE,  AT(mark)},
    {"state",              STATE,  AT(state)},
    {"origin",             ORIGIN, AT(origin)},
    {"parent",             TEXT,   AT(parent)},
    {"parent_serial",      TEXT,   AT(parent_serial)},
    {"reason",             TEXT,   AT(reason)},
    {"kind",               KIND,   AT(kind)},
    {"ca",                 TEXT,   AT(ca)},
    {"profile",            TEXT,   AT(profile)},
    {"token",              TEXT,   AT(token)},
    {"names",              TEXT,   AT(names)},
    {"subject",            TEXT,   AT(subject)},
    {"person",             TEXT,   AT(person)},
    {"product",            TEXT,   AT(product)},
    {"product_id",         NUMBER, AT(product_id)},
    {"validation",         TEXT,   AT(validation)},
    {"term_days",          NUMBER, AT(term_days)},
    {"comments",           TEXT,   AT(comments)},
    {"external_requester", TEXT,   AT(external_requester)},
    {"custom_fields",      TEXT,   AT(custom_fields)},
    {"requester",          TEXT,   AT(requester)},
    {"created",            TIME,   AT(created_s)},
    {"updated",            TIME,   AT(updated_s)},
    {"awaiting_since",     TIME,   AT(awaiting_s)},
    {"key_type",           TEXT,   AT(key_type)},
    {"key_uri",            TEXT,   AT(key_uri)},
    {"key_made",           YES_NO, AT(key_is_ours)},
    {"key_id",             ID,     AT(key_id)},
    {"public_key_sha256",  DIGEST, AT(spki_hash)},
    {"csr",                PEM,    AT(csr_pem)},
    {"ca_order",           TEXT,   AT(ca_order_id)},
    {"ca_status",          TEXT,   AT(ca_text)},
    {"serial",             TEXT,   AT(serial)},
    {"not_after",          TIME,   AT(not_after_s)},
    {"cert_uri",           TEXT,   AT(cert_uri)},
    {"certificate",        PEM,    AT(cert_pem)},
    {"chain",              PEM,    AT(chain_pem)},
    {"last_error",         TEXT,   AT(last_error)},
};
/* clang-format on */

/* One export at work. */
struct export
{
    struct out *out;
    struct journal *journal;
    bool csv, history;
    int64_t orders;
    const struct order *order;
    /* of the submission that is being looked at */
    bool sending;
    int64_t sent_s;
    struct err err;
};

static int64_t number_of(const struct order *order, size_t offset)
{
    int64_t value = 0;

    memcpy(&value, (const char *)order + offset, sizeof(value));
    return value;
}

static const char *text_of(const struct order *order, size_t offset)
{
    const char *text = NULL;

    memcpy(&text, (const char *)order + offset, sizeof(text));
    return text;
}

static bool has_key(const struct order *order)
{
    static const uint8_t none[X509_SPKI_HASH_LEN];

    return memcmp(order->spki_hash, none, sizeof(none)) != 0;
}

/* The text of a field, in buf if it has to be made; NULL: there is nothing. */
static const char *value_of(const struct order *order, const struct field *field, struct buf *made)
{
    char text[CLOCK_TEXT_SIZE];

    switch (field->kind) {
    case TEXT:
    case PEM:
        return text_of(order, field->offset);
    case NUMBER:
        buf_addf(made, "%lld", (long long)number_of(order, field->offset));
        return buf_str(made);
    case YES_NO:
        return order->key_is_ours ? "true" : "false";
    case TIME:
        if (number_of(order, field->offset) == 0) {
            return NULL;
        }
        clock_format(number_of(order, field->offset), text);
        buf_add_str(made, text);
        return buf_str(made);
    case DIGEST:
        if (!has_key(order)) {
            return NULL;
        }
        str_add_hex(made, order->spki_hash, sizeof(order->spki_hash), '\0');
        return buf_str(made);
    case ID:
        if (order->key_id_len == 0) {
            return NULL;
        }
        str_add_hex(made, order->key_id, order->key_id_len, '\0');
        return buf_str(made);
    case STATE:
        return field->offset == AT(mark) ? order->mark : order_state_name(order->state);
    case ORIGIN:
        return order->origin != NULL ? order->origin : order_origin_name(ORIGIN_ENROLL);
    case KIND:
        return order->kind != NULL ? order->kind : ca_kind_name(CA_KIND_TLS);
    }
    return NULL;
}

static void put_fields(struct out *out, const struct order *order)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        AUTO(buf) struct buf made = BUF_INIT(1024);
        const struct field *field = &fields[i];
        const char *value = value_of(order, field, &made);
        if (field->kind == NUMBER) {
            out_number(out, field->key, NULL, number_of(order, field->offset));
        } else if (field->kind == YES_NO) {
            out_bool(out, field->key, NULL, order->key_is_ours);
        } else {
            out_text(out, field->key, NULL, value);
        }
    }
}

/* Submissions: when each was sent, and what was known of it next. */

static const struct out_column attempt_columns[] = {
    {"sent", "SENT", 20, false},
    {"answered", "ANSWERED", 20, false},
    {"state", "STATE", 17, false},
    {"text", "WHAT CAME OF IT", 0, false},
};

static void put_attempt(struct export *e, int64_t answered_s, const char *state, const char *text)
{
    char sent[CLOCK_TEXT_SIZE];
    char answered[CLOCK_TEXT_SIZE];

    clock_format(e->sent_s, sent);
    clock_format(answered_s, answered);
    const char *cells[] = {sent, state != NULL ? answered : NULL, state, text};
    out_row(e->out, cells);
    e->sending = false;
}

static bool look_for_attempt(void *ctx, int64_t at_s, const char *state, const char *text)
{
    struct export *e = ctx;

    if (e->sending) {
        put_attempt(e, at_s, state, text);
    }
    if (str_equal(state, order_state_name(ORDER_SUBMITTING))) {
        e->sending = true;
        e->sent_s = at_s;
    }
    return true;
}

static bool put_attempts(struct export *e)
{
    e->sending = false;
    out_table(e->out, "attempts", attempt_columns, ARRAY_LEN(attempt_columns), NULL);
    if (!journal_events(e->journal, e->order->id, look_for_attempt, e, &e->err)) {
        return false;
    }
    if (e->sending) {
        put_attempt(e, 0, NULL, NULL);
    }
    out_table_end(e->out);
    return true;
}

static const struct out_column event_columns[] = {
    {"at", "AT", 20, false},
    {"state", "STATE", 17, false},
    {"text", "WHAT HAPPENED", 0, false},
};

static const struct out_column history_columns[] = {
    {"order", "ORDER", 6, true},
    {"at", "AT", 20, false},
    {"state", "STATE", 17, false},
    {"text", "WHAT HAPPENED", 0, false},
};

static bool put_event(void *ctx, int64_t at_s, const char *state, const char *text)
{
    struct export *e = ctx;
    char at[CLOCK_TEXT_SIZE];
    char id[24];

    clock_format(at_s, at);
    (void)snprintf(id, sizeof(id), "%lld", (long long)e->order->id);
    const char *cells[] = {id, at, state, text};
    out_row(e->out, e->csv ? cells : cells + 1);
    return true;
}

static bool put_events(struct export *e)
{
    out_table(e->out, "events", event_columns, ARRAY_LEN(event_columns), NULL);
    if (!journal_events(e->journal, e->order->id, put_event, e, &e->err)) {
        return false;
    }
    out_table_end(e->out);
    return true;
}

static const struct out_column approval_columns[] = {
    {"at", "AT", 20, false},
    {"decision", "DECISION", 9, false},
    {"who", "WHO", 30, false},
    {"message", "MESSAGE", 0, false},
};

static bool put_approvals(struct export *e)
{
    AUTO(approvals) struct approvals found = {.list = NULL};
    char at[CLOCK_TEXT_SIZE];

    if (!journal_approvals(e->journal, e->order->id, &found, &e->err)) {
        return false;
    }
    out_table(e->out, "approvals", approval_columns, ARRAY_LEN(approval_columns), NULL);
    for (size_t i = 0; i < found.count; i++) {
        const struct approval *one = &found.list[i];
        clock_format(one->at_s, at);
        const char *cells[] = {at, one->approve ? "approved" : "declined", one->who, one->message};
        out_row(e->out, cells);
    }
    out_table_end(e->out);
    return true;
}

/* One object with everything in it. */
static bool put_object(struct export *e)
{
    out_item(e->out);
    out_number(e->out, "export", NULL, EXPORT_SCHEMA);
    put_fields(e->out, e->order);
    if (!put_attempts(e) || !put_events(e) || !put_approvals(e)) {
        return false;
    }
    out_item_end(e->out);
    return true;
}

/* One line, without what has several. */
static void put_line(struct export *e)
{
    struct buf made[ARRAY_LEN(fields)];
    const char *cells[ARRAY_LEN(fields)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        made[i] = (struct buf)BUF_INIT(1024);
        if (fields[i].kind != PEM) {
            cells[count++] = value_of(e->order, &fields[i], &made[i]);
        }
    }
    out_row(e->out, cells);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        buf_done(&made[i]);
    }
}

static bool put_order(void *ctx, const struct order *order)
{
    struct export *e = ctx;

    e->order = order;
    e->orders++;
    if (!e->csv) {
        return put_object(e);
    }
    if (e->history) {
        return journal_events(e->journal, order->id, put_event, e, &e->err);
    }
    put_line(e);
    return true;
}

/* The columns of CSV. */
static size_t csv_columns(struct out_column out[static ARRAY_LEN(fields)])
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (fields[i].kind != PEM) {
            out[count++] = (struct out_column){.key = fields[i].key, .title = fields[i].key};
        }
    }
    return count;
}

static bool put_all(struct export *e, struct err *err)
{
    struct out_column columns[ARRAY_LEN(fields)];
    size_t count = csv_columns(columns);

    if (!e->csv) {
        out_list(e->out, "orders");
    } else if (e->history) {
        out_table(e->out, "events", history_columns, ARRAY_LEN(history_columns), NULL);
    } else {
        out_table(e->out, "orders", columns, count, NULL);
    }
    if (!journal_list(e->journal, false, INT64_MAX, put_order, e, err)) {
        return false;
    }
    if (e->err.code != E_NONE) {
        *err = e->err;
        return false;
    }
    if (!e->csv) {
        out_list_end(e->out);
    } else {
        out_table_end(e->out);
    }
    return true;
}

static bool choose_format(struct cli *cli, const struct opts_journal *opts, struct out *out,
                          FILE *file, struct err *err)
{
    const char *format = opts->format != NULL ? opts->format : "json";
    bool csv = str_equal(format, "csv");

    if (opts->format != NULL && cli->common.json && opts->out_path == NULL) {
        return err_set(err, E_USAGE,
                       "--format and --json exclude each other, unless --out is given");
    }
    if (opts->history && !csv) {
        return err_set(err, E_USAGE, "--history goes with --format csv; the others have it anyway");
    }
    if (csv) {
        out_init_csv(out, file);
    } else if (str_equal(format, "jsonl")) {
        out_init_jsonl(out, file);
    } else if (str_equal(format, "json")) {
        out_init_json(out, file);
        out_begin(out, "journal export");
    } else {
        return err_set(err, E_USAGE, "--format: '%.40s' is none of: json, jsonl, csv", format);
    }
    return true;
}

/* A file in the making. */
struct target {
    FILE *file;
    char *temp;
};

static void target_done(struct target *target)
{
    if (target->file != NULL) {
        (void)fclose(target->file);
    }
    if (target->temp != NULL) {
        (void)unlink(target->temp);
    }
    free(target->temp);
}

DEFINE_AUTO_DONE(target, struct target, target_done)

static bool open_target(const char *path, struct target *target, struct err *err)
{
    if (asprintf(&target->temp, "%s.XXXXXX", path) < 0) {
        target->temp = NULL;
        return err_nomem(err);
    }
    int fd = mkostemp(target->temp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        int cause = errno;
        free(TAKE(target->temp));
        return err_set_errno(err, E_IO, cause, "creating a file beside %s", path);
    }
    target->file = fdopen(fd, "w");
    if (target->file == NULL) {
        (void)close(fd);
        return err_nomem(err);
    }
    return true;
}

/* Into a file, which is there as a whole or not at all. */
static bool export_to_file(struct cli *cli, struct export *e, struct err *err)
{
    const struct opts_journal *opts = cli->opts;
    AUTO(target) struct target target = {.file = NULL};
    struct out document;

    if (!open_target(opts->out_path, &target, err) ||
        !choose_format(cli, opts, &document, target.file, err)) {
        return false;
    }
    e->out = &document;
    if (!put_all(e, err) || !out_end(&document, err) ||
        !file_put_in_place(target.temp, opts->out_path, true, err)) {
        return false;
    }
    free(TAKE(target.temp));
    out_text(&cli->out, "file", "File", opts->out_path);
    out_text(&cli->out, "format", "Format", opts->format != NULL ? opts->format : "json");
    out_number(&cli->out, "orders", "Orders", e->orders);
    return true;
}

bool cmd_journal_export(struct cli *cli, struct err *err)
{
    const struct opts_journal *opts = cli->opts;
    AUTO(journal) struct journal *journal = NULL;
    struct export e = {.out = &cli->out, .err = ERR_INIT, .history = opts->history};

    e.csv = str_equal(opts->format, "csv");
    if (!cli_journal(cli, NULL, err) ||
        !journal_open_as_is(cli->state_dir, &cli->clock, true, &journal, err)) {
        return false;
    }
    e.journal = journal;
    if (opts->out_path != NULL) {
        return export_to_file(cli, &e, err);
    }
    /* With --json the document has begun already. */
    if ((opts->format == NULL && cli->common.json) ||
        choose_format(cli, opts, &cli->out, stdout, err)) {
        return put_all(&e, err);
    }
    return false;
}
