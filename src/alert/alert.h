/*
 * Alerts: certificates that end soon and orders that wait too long, each told once per level.
 *
 * Whoever has found something (journal, inventory, token) adds it; alerts_merge() makes one of what
 * is the same certificate, alerts_judge() says which level each has reached (level.c, merge.c:
 * pure). text.c has the words and the line that Nagios reads. mail.c, webhook.c and metrics.c are
 * where alerts go: each composes a text (pure) and delivers it. sent.c remembers in the journal's
 * database what was delivered, sink by sink: an alert that was not delivered is due again.
 */
#ifndef ALERT_ALERT_H
#define ALERT_ALERT_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

/* The exit statuses of Nagios plugins. */
enum alert_severity { ALERT_OK, ALERT_WARNING, ALERT_CRITICAL, ALERT_UNKNOWN };

/* "OK", "WARNING", "CRITICAL", "UNKNOWN" */
const char *alert_severity_name(enum alert_severity severity);
/* The worse of two: CRITICAL, then UNKNOWN, WARNING, OK. */
enum alert_severity alert_worse(enum alert_severity a, enum alert_severity b);

enum alert_kind { ALERT_CERTIFICATE, ALERT_ORDER };

/* Where something was found; bits. */
enum alert_source {
    ALERT_JOURNAL = 1,
    ALERT_INVENTORY = 2,
    ALERT_TOKEN = 4,
    ALERT_SOURCES = ALERT_JOURNAL | ALERT_INVENTORY | ALERT_TOKEN
};

/* "journal, token" into bits. E_CONFIG. */
bool alert_sources_parse(const char *text, unsigned *out, struct err *err) NODISCARD;
void alert_sources_text(unsigned bits, struct buf *out);

/* ALERT_DAYS_APART: of two ends that are the same, if one is known to the day alone. */
enum { ALERT_SPKI_LEN = 32, ALERT_LEVELS_MAX = 16, ALERT_DAYS_APART = 2 };

/* Strings are owned, NULL while unknown; texts of others, to be made printable by who prints. */
struct alert_item {
    enum alert_kind kind;
    enum alert_severity severity; /* judged */
    int64_t urgency;              /* judged: what level it has reached, the greater the worse */
    int64_t level_s;              /* judged: that level; 0: expired */
    int64_t at_s;                 /* certificate: its last second; order: since when it waits */
    int64_t lead_s;   /* certificate: how long before that its renewal is due; 0: not known */
    int64_t order;    /* of the journal; 0: none */
    int64_t ca_order; /* the CA's number; 0: not known */
    char *subject;    /* what it is remembered by; made by alerts_merge() */
    char *name, *names, *serial, *ca;
    char *uri;  /* on a token */
    char *text; /* order: what it waits for */
    unsigned sources;
    bool expired;    /* judged */
    bool is_day;     /* at_s is known to the day alone: the day's begin */
    bool over;       /* revoked, or something newer is bound: no alert */
    bool superseded; /* something newer for the same names is known at the CA */
    bool outlived;   /* on the token there is another one of the same key that is in use */
    bool own_issuer; /* self-signed: a placeholder, until there is a certificate */
    bool has_spki;
    uint8_t spki[ALERT_SPKI_LEN];
};

struct alerts {
    struct alert_item *list;
    size_t count, room;
};

#define ALERTS_INIT                                                                                \
    {                                                                                              \
        .list = NULL, .count = 0, .room = 0                                                        \
    }

void alerts_done(struct alerts *alerts);
DEFINE_AUTO_DONE(alerts, struct alerts, alerts_done)

/* Adds a copy of an item; its strings are borrowed. Serial numbers in one spelling (AB:CD:...). */
bool alerts_add(struct alerts *alerts, const struct alert_item *item, struct err *err) NODISCARD;

/* level.c, pure */

struct alert_levels {
    int64_t list[ALERT_LEVELS_MAX]; /* seconds */
    size_t count;
};

/* "30, 14, 7": days (or spans like 36h) that are left, each less than the one before. E_CONFIG. */
bool alert_levels_left(const char *text, struct alert_levels *out, struct err *err) NODISCARD;
/* "3d, 7d": spans that have passed, each more than the one before. E_CONFIG. */
bool alert_levels_waited(const char *text, struct alert_levels *out, struct err *err) NODISCARD;

/*
 * The level that a certificate has reached with so much time left (less than 0: expired); false:
 * none. Before its renewal is due there is no alert: where that is later than the first level, all
 * levels shrink in the same proportion. The last level is CRITICAL, those before it WARNING.
 */
bool alert_judge_left(const struct alert_levels *levels, int64_t lead_s, int64_t left_s,
                      struct alert_item *item);
bool alert_judge_waited(const struct alert_levels *levels, int64_t waited_s,
                        struct alert_item *item);

/* What subjects of a kind begin with: "order:". */
const char *alert_subject_prefix(enum alert_kind kind);

/* What was delivered of an alert. */
struct alert_sent {
    int64_t urgency, sent_s;
};

/* Whether it is to be delivered (again): never before, a worse level, or as often as configured
 * (repeat_s 0: never). */
bool alert_is_due(const struct alert_sent *last, int64_t urgency, int64_t now_s, int64_t repeat_s);

/* merge.c, pure */

/*
 * Makes one item of what is one certificate: the same serial number, the same key as far as it is
 * known, the same last day. Names subjects, and leaves out what needs no alert.
 */
bool alerts_merge(struct alerts *alerts, struct err *err) NODISCARD;

struct alert_rules {
    struct alert_levels left, waited;
    int64_t now_s;
    int64_t expired_s; /* how long what has expired is told */
};

/* Judges all, and leaves out what has reached no level; the worst come first. */
void alerts_judge(struct alerts *alerts, const struct alert_rules *rules);

/* text.c, pure */

/* A source that could not be read, or a sink that could not be reached. */
struct alert_failure {
    const char *what; /* "token prod", "mail" */
    const char *why;
};

/* What there is to tell. */
struct alert_report {
    const struct alert_item *const *items;
    size_t count;
    const struct alert_failure *failures;
    size_t failure_count;
    const struct alert_rules *rules;
    const char *host;
    int64_t now_s;
};

struct alert_summary {
    size_t expired, ending, waiting; /* ending: and not expired */
    size_t warning, critical;
    bool has_left;
    int64_t left_s; /* of the certificate that ends next */
    enum alert_severity severity;
};

void alert_summarize(const struct alert_report *report, struct alert_summary *out);

/* "certificate www.example.org ends in 12 days, ..." */
void alert_sentence(const struct alert_item *item, int64_t now_s, struct buf *out);

/* One line without its end: "P11ENROLL WARNING - ... | certificates=1;0;;0 ..." (the guidelines for
 * Monitoring Plugins: a text, '|', performance data). */
void alert_line(const struct alert_report *report, struct buf *out);

/* mail.c */

struct alert_mail {
    const char *sendmail; /* program */
    const char *to;       /* addresses, with commas between */
    const char *from;     /* NULL: as the program likes */
    int64_t timeout_ms;
    const volatile bool *stop; /* may be NULL */
};

/* Whether it could be sent, as far as that can be told. E_CONFIG. */
bool alert_mail_check(const struct alert_mail *mail, struct err *err) NODISCARD;

/* The message (RFC 5322): header and lines. */
void alert_mail_text(const struct alert_mail *mail, const struct alert_report *report,
                     struct buf *out);

/* Gives it to the program on its standard input, and waits for it. E_HOOK, E_INTERRUPTED. */
bool alert_mail_send(const struct alert_mail *mail, const struct buf *message,
                     struct err *err) NODISCARD;

/* run.c: runs a program with that input; E_HOOK with its last words unless it ends well. */
struct alert_program {
    const char *const *args; /* args[0] is its path; ends with NULL */
    const struct buf *input;
    int64_t timeout_ms;
    const volatile bool *stop;
};
bool alert_run(const struct alert_program *program, struct err *err) NODISCARD;

/* webhook.c */

struct alert_webhook {
    const char *url;            /* https://host[:port][/path] */
    const char *trust_path;     /* PEM roots; NULL: the system's */
    const struct secret *token; /* Authorization: Bearer; empty: none */
    const char *proxy;          /* NULL: none */
    int64_t timeout_ms;
    const volatile bool *stop;
};

bool alert_webhook_check(const struct alert_webhook *webhook, struct err *err) NODISCARD;
/* {"schema":1,"program":"p11enroll","host":...,"status":...,"alerts":[...]} */
bool alert_webhook_json(const struct alert_report *report, struct buf *out,
                        struct err *err) NODISCARD;
/* One POST; what is not answered with 2xx is a failure. E_NETWORK, E_TLS, E_HOOK. */
bool alert_webhook_send(const struct alert_webhook *webhook, const struct buf *body,
                        struct err *err) NODISCARD;

/* metrics.c: the text file that node_exporter reads (Prometheus exposition format 0.0.4). */
void alert_metrics_text(const struct alert_report *report, struct buf *out);

/* sent.c */

/* Whether `last` of an alert is known for that sink. E_JOURNAL. */
bool alert_sent_find(struct db *db, const char *subject, const char *sink, bool *found,
                     struct alert_sent *last, struct err *err) NODISCARD;
/* Writes down that these were delivered; all or nothing, durable when it returns. */
bool alert_sent_put(struct db *db, const char *sink, const struct alert_item *const *items,
                    size_t count, int64_t now_s, struct err *err) NODISCARD;
/* Forgets what of that kind is no alert any more, so that it is told when it comes again. */
bool alert_sent_keep(struct db *db, enum alert_kind kind, const struct alerts *alerts,
                     struct err *err) NODISCARD;

#endif
