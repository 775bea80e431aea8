/*
 * An order as it is sent. The input has one text a line: names, comments, requester, custom fields,
 * request. Whatever they hold, the body is JSON and says the same.
 */
#include "fuzz/fuzz.h"

#include "base/str.h"
#include "ca/scm/scm.h"

enum { LINES = 5 };

static void split(char *text, const char *lines[static LINES])
{
    for (int i = 0; i < LINES; i++) {
        lines[i] = text;
        text += strcspn(text, "\n");
        if (*text == '\n') {
            *text++ = '\0';
        }
    }
}

static void check_body(const struct buf *body, const struct ca_request *request)
{
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;
    const char *text = NULL;

    CHECK(json_parse((const uint8_t *)buf_str(body), body->len, &doc, &err));
    CHECK(json_get_string(doc, "comments", &text, &err));
    CHECK(str_starts_with(text, request->mark));
    CHECK(str_equal(text + strlen(request->mark) + 1, request->comments));
    CHECK(json_get_string(doc, "csr", &text, &err));
    CHECK(str_equal(text, request->csr_pem));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(str) char *text = fuzz_text(data, size);
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(buf) struct buf body = BUF_INIT(1 << 20);
    const char *lines[LINES];
    struct err err = ERR_INIT;

    split(text, lines);
    if (!x509_names_add_list(&names, lines[0], &err)) {
        CHECK_ERR(err); /* the names in front of the bad one are there */
    }
    struct ca_request request = {.csr_pem = lines[4],
                                 .names = &names,
                                 .product_id = 1,
                                 .term_days = 365,
                                 .mark = "p11e-1",
                                 .comments = lines[1],
                                 .external_requester = lines[2],
                                 .custom_fields = lines[3],
                                 .send_names = CA_NAMES_ALWAYS};
    if (scm_build_enroll(&request, 1, &body, &err)) {
        check_body(&body, &request);
    } else {
        CHECK_ERR(err);
    }
    return 0;
}
