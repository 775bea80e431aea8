/* Inside ca/scm: one call of the API, from a row of endpoints.c to an answer that is sorted. */
#ifndef CA_SCM_CALL_H
#define CA_SCM_CALL_H

#include "base/cleanup.h"
#include "ca/scm/scm.h"

struct scm {
    struct ca_settings settings; /* borrowed */
    char *prefix;                /* "/private/api" or "/api" */
    int64_t deadline_ms;         /* no pause goes past it; 0: none */
};

/* One call of an endpoint. */
struct scm_call {
    enum scm_endpoint_id endpoint;
    int64_t id;         /* for {id} */
    const char *serial; /* for {serial} */
    const char *query;  /* without '?'; NULL: none */
    const char *body;   /* JSON; NULL: none */
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
 * caller has to look at (SCM_OK, SCM_NOT_READY); false with err otherwise.
 */
bool scm_call(struct scm *scm, const struct scm_call *call, struct scm_answer *answer,
              struct err *err) NODISCARD;

/* Calls an endpoint that answers with JSON; json_free() it. */
bool scm_call_json(struct scm *scm, const struct scm_call *call, struct scm_answer *answer,
                   json **doc, struct err *err) NODISCARD;

/* Whether something may have happened at the CA although the call failed. */
bool scm_is_unclear(const struct scm_answer *answer);

DEFINE_AUTO_DONE(answer, struct scm_answer, scm_answer_done)

#endif
