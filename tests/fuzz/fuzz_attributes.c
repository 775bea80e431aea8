/*
 * Attributes as a token returns them: the kind of a key, its policy, what is printed. The input is
 * a list of type (1 byte: an index), length (1 byte), value.
 */
#include "fuzz/fuzz.h"

#include "hsm/attr.h"
#include "hsm/object.h"
#include "hsm/policy.h"

static void fill(const uint8_t *data, size_t size, struct attr_values *values)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_CLASS,   CKA_ID,       CKA_LABEL,         CKA_KEY_TYPE,          CKA_TOKEN,
        CKA_PRIVATE, CKA_SIGN,     CKA_SENSITIVE,     CKA_EXTRACTABLE,       CKA_LOCAL,
        CKA_DECRYPT, CKA_EC_POINT, CKA_EC_PARAMS,     CKA_NEVER_EXTRACTABLE, CKA_VALUE,
        CKA_MODULUS, CKA_DERIVE,   CKA_VENDOR_DEFINED};

    while (size >= 2 && values->count < ATTRS_MAX) {
        struct attr_value *v = &values->list[values->count++];
        size_t len = data[1] < size - 2 ? data[1] : size - 2;
        *v = (struct attr_value){.type = types[data[0] % ARRAY_LEN(types)],
                                 .present = (data[0] & 0x80) == 0,
                                 .len = len};
        v->data = malloc(len + 1);
        CHECK(v->data != NULL);
        memcpy(v->data, data + 2, len);
        data += 2 + len;
        size -= 2 + len;
    }
}

static void check_policy(const struct attr_values *values)
{
    struct hsm_key_spec spec;
    struct hsm_verdict verdict;
    struct err err = ERR_INIT;

    CHECK(hsm_key_spec_parse("p256", &spec, &err));
    struct hsm_policy policy = hsm_policy_signing(spec);
    hsm_policy_check(&policy, &spec, values, &verdict);
    CHECK(verdict.ok == (verdict.violations[0] == '\0'));
    CHECK(!verdict.ok || (verdict.sensitive && !verdict.extractable));
}

static void check_print(const struct attr_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        AUTO(buf) struct buf out = BUF_INIT(1 << 16);
        attr_print(&out, values->list[i].type, values->list[i].data, values->list[i].len);
        CHECK(buf_ok(&out) && out.len > 0);
        for (size_t k = 0; k < out.len; k++) {
            CHECK(out.data[k] >= 0x20 && out.data[k] != 0x7f);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(attr_values) struct attr_values values = {.count = 0};
    AUTO(str) char *label = NULL;
    struct hsm_id id;
    struct err err = ERR_INIT;

    fill(data, size, &values);
    CHECK(hsm_object_name(&values, &id, &label, &err));
    CHECK(label != NULL && id.len <= HSM_ID_MAX && id.set == (id.len > 0));
    check_policy(&values);
    check_print(&values);
    return 0;
}
