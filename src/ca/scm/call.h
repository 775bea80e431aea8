/* Inside ca/scm: one call of the API, from a row of endpoints.c to an answer that is sorted. */
#ifndef CA_SCM_CALL_H
#define CA_SCM_CALL_H

#include "base/cleanup.h"
#include "ca/scm/scm.h"

/* The token of an OAuth login; lives in memory alone. */
struct scm_oauth {
    struct http_client *http; /* of the server that gives out tokens; NULL: not chosen yet */
    char *url;                /* of it */
    char *path;
    struct secret header;  /* "Bearer ..."; unset: none */
    int64_t good_until_ms; /* monotonic: from then on it is fetched anew */
    unsigned generation;   /* how many there were */
};

/* aside.c: whose turn it is while reads go beside each other. */
struct scm_aside {
    void *user; /* NULL: requests are waited for */
    size_t asked;
    bool under_way;
    struct scm_heard *heard; /* answers by user; owned */
};

struct scm {
    struct ca_settings settings; /* borrowed */
    char *prefix;                /* "/private/api" or "/api" */
    int64_t deadline_ms;         /* no pause goes past it; 0: none */
    enum scm_endpoint_id probe;  /* is asked without a token to learn who gives them out */
    struct scm_oauth oauth;
    struct scm_aside aside;
};

/* One call of an endpoint. */
struct scm_call {
    enum scm_endpoint_id endpoint;
    int64_t id;         /* for {id} */
    const char *serial; /* for {serial} */
    const char *word;   /* for {word} */
    const char *format; /* for {format} */
    const char *query;  /* without '?'; NULL: none */
    const char *body;   /* JSON; NULL: none */
    const char *accept; /* what is wanted; NULL: JSON */
};

/* The answer, sorted. */
struct scm_answer {
    struct http_response response;
    enum scm_class class;
    struct scm_error error; /* unless SCM_OK */
    bool sent;              /* the CA may have seen the request */
    bool complete;          /* there was an answer at all */
};

void scm_answer_init(struct scm_answer *answer);
void scm_answer_done(struct scm_answer *answer);

/*
 * Calls an endpoint; idempotent ones are repeated when that may help. True for any answer that the
 * caller has to look at (SCM_OK, SCM_NOT_READY); false with err otherwise. A success of a call that
 * must not be done twice has an answer of the API's, or an empty one: E_PROTOCOL.
 */
bool scm_call(struct scm *scm, const struct scm_call *call, struct scm_answer *answer,
              struct err *err) NODISCARD;

/* Calls an endpoint that answers with JSON; json_free() it. */
bool scm_call_json(struct scm *scm, const struct scm_call *call, struct scm_answer *answer,
                   json **doc, struct err *err) NODISCARD;

/* Record of a number, as far as polling needs it; the texts are the document's. */
bool scm_get_details(struct scm *scm, enum ca_kind kind, int64_t id, struct scm_answer *answer,
                     json **doc, struct scm_details *out, struct err *err) NODISCARD;

/* The same of an S/MIME certificate, by its number at the CA's back end. E_ORDER_MISSING. */
bool scm_smime_details(struct scm *scm, int64_t id, struct scm_answer *answer, json **doc,
                       struct scm_details *out, struct err *err) NODISCARD;

/* All that the CA says of it, in its list and in its details. E_ORDER_MISSING. */
bool scm_smime_record(struct scm *scm, int64_t id, struct ca_record *out,
                      struct err *err) NODISCARD;

/* The manager's own number of it, which changes go by. E_ORDER_MISSING. */
bool scm_smime_number(struct scm *scm, int64_t id, int64_t *number, struct err *err) NODISCARD;

/* renew.c: what a renewal or a replacement whose answer was lost did; *id 0: nothing that is sure.
 */
bool scm_find_renewed(struct scm *scm, const struct ca_request *request, int64_t *id,
                      struct err *err) NODISCARD;
bool scm_find_replaced(struct scm *scm, const struct ca_request *request, int64_t *id,
                       struct err *err) NODISCARD;

/* renew.c: whether what is to be renewed or replaced is as it was when that was planned.
 * E_CA_REFUSED. */
bool scm_check_old(const struct ca_request *request, const struct ca_record *old,
                   struct err *err) NODISCARD;

/* Whether a number is known to be of another certificate than what is renewed. */
bool scm_is_other(const struct ca_request *request, int64_t id);

/* False, with E_ORDER_EXISTS: somebody else has renewed a number since an order was planned. newer:
 * as which one; NULL and 0: that is not known. */
bool scm_was_renewed(int64_t old, const char *newer, struct err *err);
bool scm_has_newer(int64_t old, int64_t newer, struct err *err);

/* smime.c: what is noted before a renewal; and an order by its mark, which the list shows, or a
 * renewal by what was noted. */
bool scm_smime_before(struct scm *scm, const struct ca_request *request, char **before,
                      struct err *err) NODISCARD;
bool scm_smime_find(struct scm *scm, const struct ca_request *request, int64_t *id,
                    struct err *err) NODISCARD;

/* The numbers that are listed under a common name, the highest first; cn NULL: all. */
bool scm_list_ids(struct scm *scm, enum ca_kind kind, const char *cn, struct scm_ids *ids,
                  struct err *err) NODISCARD;

/* True if the failure is this number's own: gone, another organization's, unreadable. */
bool scm_may_skip(const struct scm_answer *answer);

/* Whether something may have happened at the CA although the call failed: always, unless the answer
 * proves that it was refused (scm_is_refusal()), or the request never left us. */
bool scm_is_unclear(const struct scm_answer *answer);

/* The path of a call, without its query. */
void scm_call_path(const struct scm *scm, const struct scm_call *call, struct buf *out);

/* aside.c: as http_send(), from what was heard; else the request is started, and false. */
bool scm_aside_send(struct scm *scm, const struct http_request *request,
                    struct http_response *response, enum http_reach *reach,
                    struct err *err) NODISCARD;
/* Whether a refused request may be sent again with a token, and whether that has to be a new one.
 */
bool scm_aside_may_relog(struct scm *scm, bool *anew) NODISCARD;
void scm_aside_forget(struct scm *scm, const void *user);
void scm_aside_done(struct scm *scm);

/* oauth.c */

/* Whether what an OAuth login needs is configured. E_CONFIG. */
bool scm_oauth_check(const struct ca_settings *settings, struct err *err) NODISCARD;

/* check.c: the lines of the connection test for the server that gives out tokens, and for the
 * token. False if one failed. */
bool scm_check_token(struct scm *scm, struct ca_checks *out);

/* Chooses the server that gives out tokens, if that is not done: the configured one, or one that
 * the CA names. E_AUTH, E_CONFIG, E_NETWORK, E_TLS, E_PROTOCOL. */
bool scm_oauth_find(struct scm *scm, struct err *err) NODISCARD;

/* Sees to it that there is a token that lasts a while; `anew`: another one than now. E_AUTH,
 * E_CONFIG, E_NETWORK, E_TLS, E_PROTOCOL. */
bool scm_oauth_login(struct scm *scm, bool anew, struct err *err) NODISCARD;

/*
 * After a refusal: takes over the server that the CA names for tokens, if it is one that we may ask
 * and none is configured. False with err if the CA names one that is not allowed.
 */
bool scm_oauth_discover(struct scm *scm, const struct http_response *response,
                        struct err *err) NODISCARD;
void scm_oauth_done(struct scm_oauth *oauth);

DEFINE_AUTO_DONE(answer, struct scm_answer, scm_answer_done)

#endif
