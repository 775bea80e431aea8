/* The list of products, and the list of organizations. */
#include "fuzz/fuzz.h"

#include "ca/scm/scm.h"

static void check_product(const struct ca_products *products, const struct ca_product *p)
{
    static const char *const kinds[] = {"RSA-2048", "EC P-256"};
    const struct ca_product *found = NULL;
    struct err err = ERR_INIT;

    CHECK(p->name != NULL && p->description != NULL);
    CHECK(p->term_count <= CA_TERMS_MAX && p->key_type_count <= CA_KEY_TYPES_MAX);
    if (!ca_product_find(products, p->name, &found, &err)) {
        CHECK_ERR(err);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        int64_t term = 0;
        if (ca_product_check(p, kinds[i], &term, &err)) {
            CHECK(term > 0);
        } else {
            CHECK_ERR(err);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    AUTO(ca_products) struct ca_products products = {.list = NULL};
    struct err err = ERR_INIT;
    const char *name = "";

    if (!json_parse(data, size, &doc, &err)) {
        return 0;
    }
    (void)scm_has_organization(doc, 7, &name);
    CHECK(name != NULL);
    if (!scm_parse_types(doc, &products, &err)) {
        CHECK_ERR(err);
        CHECK(products.list == NULL);
        return 0;
    }
    for (size_t i = 0; i < products.count && i < 50; i++) {
        check_product(&products, &products.list[i]);
    }
    return 0;
}
