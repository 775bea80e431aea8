/* Bodies of answers that are no success: their text, and what they mean for each operation; and the
 * header that names a server for tokens. */
#include "fuzz/fuzz.h"

#include "base/str.h"
#include "ca/scm/scm.h"

#include <stdio.h>

static void classify_all(const struct scm_error *error)
{
    static const int statuses[] = {200, 302, 400, 401, 403, 404, 408, 429, 500, 503};

    for (int operation = 0; operation < SCM_ENDPOINTS; operation++) {
        for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
            enum scm_class class =
                scm_classify((enum scm_endpoint_id)operation, statuses[i], error);
            CHECK((class == SCM_OK) == (statuses[i] == 200));
            const char *name = scm_endpoint((enum scm_endpoint_id)operation)->name;
            CHECK(class != SCM_NOT_READY || str_equal(name, "collect") ||
                  operation == ENROLLMENT_STATUS);
        }
    }
}

/* Whatever a body says, only a 4xx of the API itself proves that nothing was done. */
static void judge_all(struct http_response *response, const struct scm_error *error)
{
    static const int statuses[] = {0, 199, 200, 204, 302, 400, 401, 403, 407, 408, 429, 500, 503};

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        response->status = statuses[i];
        enum scm_class class = scm_classify(SCM_ENROLL, statuses[i], error);
        bool refused = scm_is_refusal(response, class, error);
        CHECK(!refused || (statuses[i] >= 400 && statuses[i] < 500 && statuses[i] != 408));
        CHECK(!refused || error->own ||
              (statuses[i] == 401 && scm_wants_bearer(response->authenticate)));
    }
    CHECK(!error->own || (error->understood && (!error->has_code || error->code < 0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(http_response) struct http_response response;
    struct scm_error error;

    AUTO(str) char *text = fuzz_text(data, size);
    AUTO(buf) struct buf uri = BUF_INIT(2048);
    AUTO(buf) struct buf origin = BUF_INIT(2048);
    AUTO(buf) struct buf host = BUF_INIT(2048);
    AUTO(buf) struct buf path = BUF_INIT(2048);
    if (scm_authorization_uri(text, &uri)) {
        CHECK(uri.len > 0 && strchr(buf_str(&uri), '"') == NULL);
        if (scm_split_url(buf_str(&uri), &origin, &host, &path)) {
            CHECK(host.len > 0 && strchr(buf_str(&host), '@') == NULL && path.data[0] == '/');
            CHECK(!scm_host_in(buf_str(&host), "allowed.example") ||
                  str_equal_nocase(buf_str(&host), "allowed.example"));
        }
    }
    http_response_init(&response);
    buf_add(&response.body, data, size);
    scm_parse_error(&response, &error);
    size_t len = strlen(error.text);
    CHECK(len > 0 && len < sizeof(error.text));
    for (size_t i = 0; i < len; i++) {
        CHECK((unsigned char)error.text[i] >= 0x20 && error.text[i] != 0x7f);
    }
    classify_all(&error);
    (void)snprintf(response.authenticate, sizeof(response.authenticate), "%s", text);
    judge_all(&response, &error);
    return 0;
}
