#include "ca/scm/call.h"

bool scm_organizations(void *impl, struct ca_organizations *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_ORGANIZATIONS};

    scm_answer_init(&answer);
    return scm_call_json(impl, &call, &answer, &doc, err) &&
           (scm_parse_organizations(doc, out, err) || err_wrap(err, "organizations"));
}

/* The API says of a number that it does not know: 404, or 400 with one of these. */
static bool is_unknown(const struct scm_answer *answer)
{
    return answer->complete && (answer->response.status == 404 ||
                                (answer->error.has_code &&
                                 (answer->error.code == -639 || answer->error.code == -1023)));
}

bool scm_organization(void *impl, int64_t id, struct ca_organization *out, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    struct scm_call call = {.endpoint = SCM_ORGANIZATION, .id = id};

    scm_answer_init(&answer);
    if (!scm_call_json(impl, &call, &answer, &doc, err)) {
        if (is_unknown(&answer)) {
            err->code = E_ORDER_MISSING;
        }
        return false;
    }
    return scm_parse_organization(doc, out, err) || err_wrap(err, "organization");
}
