/*
 * Publishing what a CA wants to see before it believes that a domain is ours.
 *
 * A record is a DNS record or a file on the domain's web server. Somebody else's program, a hook,
 * publishes it and takes it away again; here it is called, and then the servers that the world asks
 * are asked until all of them show the record. Nothing here knows a CA.
 */
#ifndef DCV_DCV_H
#define DCV_DCV_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* record.c, pure */
enum dcv_kind { DCV_CNAME, DCV_TXT, DCV_FILE };

/* Strings are owned. */
struct dcv_record {
    enum dcv_kind kind;
    char *domain; /* without "*." */
    char *name;   /* of the record, without the dot at its end; or the path on the web server */
    char *value;  /* what the record points to or says; or the file's lines */
    char *url;    /* of the file; NULL for DNS */
};

void dcv_record_done(struct dcv_record *record);

/*
 * From what a CA said. Only what belongs to the domain is taken: a host below it, a URL on it and
 * below /.well-known/, and characters that no zone file, shell or file name takes for something
 * else. E_PROTOCOL.
 */
bool dcv_record_dns(struct dcv_record *out, const char *domain, enum dcv_kind kind,
                    const char *host, const char *point, struct err *err) NODISCARD;
bool dcv_record_file(struct dcv_record *out, const char *domain, const char *url,
                     const char *first_line, const char *second_line, struct err *err) NODISCARD;

/* style.c, pure: how hooks of several programs are called. */
enum dcv_style {
    DCV_STYLE_OWN,        /* HOOK publish|remove KIND DOMAIN NAME VALUE */
    DCV_STYLE_UACME,      /* HOOK begin|done|failed TYPE IDENT TOKEN AUTH */
    DCV_STYLE_DEHYDRATED, /* HOOK deploy_challenge|clean_challenge DOMAIN NAME VALUE */
    DCV_STYLE_CERTBOT,    /* the environment: CERTBOT_DOMAIN, CERTBOT_VALIDATION, ... */
    DCV_STYLE_LEGO,       /* HOOK present|cleanup FQDN VALUE */
};

/* E_USAGE with those that there are. */
bool dcv_style_find(const char *name, enum dcv_style *out, struct err *err) NODISCARD;

/* Whether a hook that failed to publish is called to remove all the same, as its program does. */
bool dcv_style_cleans_failures(enum dcv_style style) NODISCARD;

enum dcv_step { DCV_PUBLISH, DCV_REMOVE_DONE, DCV_REMOVE_FAILED };

enum { DCV_ARGS_MAX = 8, DCV_ENV_MAX = 96 };

/* A call as execve(2) wants it. Strings are owned. */
struct dcv_call {
    char *args[DCV_ARGS_MAX];
    char *env[DCV_ENV_MAX];
    size_t arg_count, env_count;
};

void dcv_call_done(struct dcv_call *call);

/* Whether a style has words for such a record. E_USAGE. */
bool dcv_style_takes(enum dcv_style style, enum dcv_kind kind, struct err *err) NODISCARD;

/*
 * The arguments behind the program's name, and the variables of the style. quoted: what a TXT
 * record says is given as it stands in a zone file (RFC 1035 section 5.1), but for P11ENROLL_VALUE.
 * output: what the call that published wrote on its standard output, or NULL.
 */
bool dcv_style_call(enum dcv_style style, bool quoted, enum dcv_step step,
                    const struct dcv_record *record, const char *output, struct dcv_call *call,
                    struct err *err) NODISCARD;

/* Sets a variable of a call's environment, anew if it is there. False: no room, no memory. */
bool dcv_call_setenv(struct dcv_call *call, const char *name, const char *value) NODISCARD;

/* hook.c */
struct dcv_hook {
    const char *path;
    const char *cleanup_path; /* NULL: the same; certbot's alone has two */
    enum dcv_style style;
    bool quoted;             /* for hooks that write zone files */
    const char *environment; /* NAME=VALUE and NAME (as it is here), ';' between; may be NULL */
    int64_t timeout_ms;
    const volatile bool *stop; /* ends a hook that publishes; one that removes is let finish */
};

/* Whether the hook can be called at all. E_CONFIG. */
bool dcv_hook_check(const struct dcv_hook *hook, struct err *err) NODISCARD;

/*
 * Calls the hook and waits for it. It gets no secret: few variables, /dev/null to read, no open
 * descriptor of ours. *output is what it wrote on its standard output when it published (owned by
 * the caller, read when it removes). E_HOOK with the last line of its standard error;
 * E_INTERRUPTED.
 */
bool dcv_hook_run(const struct dcv_hook *hook, enum dcv_step step, const struct dcv_record *record,
                  struct buf *output, struct err *err) NODISCARD;

/* dns.c and web.c: whether everybody sees it. */
struct dcv_look {
    const char *dns_servers; /* "192.0.2.1, [2001:db8::1]:5353": ask these; NULL: the zone's own */
    const char *web_server;  /* "192.0.2.1:8080": connect there; NULL: where the name leads */
    const char *web_trust;   /* PEM file with roots for https; NULL: the system's */
    int64_t timeout_ms;      /* for one question */
    const volatile bool *stop;
};

/* Whether the settings are understood. E_CONFIG. */
bool dcv_look_check(const struct dcv_look *look, struct err *err) NODISCARD;

/* *seen: all servers show it. why: who does not, and what was seen instead. E_INTERRUPTED. */
bool dcv_visible(const struct dcv_look *look, const struct dcv_record *record, bool *seen,
                 struct buf *why, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(dcv_record, struct dcv_record, dcv_record_done)
DEFINE_AUTO_DONE(dcv_call, struct dcv_call, dcv_call_done)

#endif
