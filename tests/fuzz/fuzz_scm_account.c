/* Organizations and ACME accounts, as answers bring them. */
#include "fuzz/fuzz.h"

#include "ca/scm/scm.h"

static void check_organizations(const json *doc)
{
    AUTO(ca_organizations) struct ca_organizations all = {.list = NULL};
    struct err err = ERR_INIT;

    if (!scm_parse_organizations(doc, &all, &err)) {
        CHECK_ERR(err);
        CHECK(all.list == NULL);
        return;
    }
    for (size_t i = 0; i < all.count; i++) {
        CHECK(all.list[i].ssl_api <= CA_ON && all.list[i].client_api <= CA_ON);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    AUTO(ca_organization) struct ca_organization organization = {.id = 0};
    AUTO(ca_acme_account) struct ca_acme_account account = {.id = 0};
    AUTO(buf) struct buf left = BUF_INIT(4096);
    AUTO(str) char *text = fuzz_text(data, size);
    struct err err = ERR_INIT;

    CHECK(scm_location_id(text) >= 0);
    if (!json_parse(data, size, &doc, &err)) {
        return 0;
    }
    check_organizations(doc);
    if (!scm_parse_organization(doc, &organization, &err)) {
        CHECK_ERR(err);
    }
    err_clear(&err);
    if (scm_parse_acme_account(doc, &account, &err)) {
        CHECK(account.id > 0);
    } else {
        CHECK_ERR(err);
    }
    scm_parse_acme_left(doc, &left);
    return 0;
}
