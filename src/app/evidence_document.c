#include "app/evidence.h"

/* Nothing beside what is checked, and nothing twice: programs differ in which one they see. */
static bool has_only_known(const json *doc, struct err *err)
{
    static const char *const names[] = {"p11enroll_evidence", "statement", "statement_sha256",
                                        "possession"};
    static const char *const inside[] = {"algorithm", "challenge", "nonce", "signature"};
    AUTO(buf) struct buf text = BUF_INIT(2 * EVIDENCE_FILE_MAX);

    if (!json_print_sorted(doc, false, &text, err)) {
        err->code = E_EVIDENCE;
        return false;
    }
    const char *other = json_unknown_member(doc, names, ARRAY_LEN(names));
    if (other == NULL) {
        other = json_unknown_member(json_member(doc, "possession"), inside, ARRAY_LEN(inside));
    }
    if (other != NULL) {
        return err_set(err, E_EVIDENCE, "the field '%.40s' has no place in an evidence file",
                       other);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (json_member(doc, names[i]) == NULL) {
            return err_set(err, E_EVIDENCE, "the field '%s' is missing", names[i]);
        }
    }
    return true;
}

static bool is_known(const json *doc, struct err *err)
{
    int64_t version = 0;

    if (!json_find_int(doc, "p11enroll_evidence", &version)) {
        return err_set(err, E_EVIDENCE, "it is no evidence file");
    }
    if (version != EVIDENCE_VERSION) {
        return err_set(err, E_EVIDENCE,
                       "it is an evidence file of version %lld, and this program knows version %d",
                       (long long)version, EVIDENCE_VERSION);
    }
    return has_only_known(doc, err);
}

bool evidence_document(const uint8_t *data, size_t len, json **out, struct err *err)
{
    AUTO(json) json *doc = NULL;

    if (len > EVIDENCE_FILE_MAX) {
        return err_set(err, E_EVIDENCE, "it has more than %d bytes", EVIDENCE_FILE_MAX);
    }
    if (!json_parse(data, len, &doc, err)) {
        err->code = E_EVIDENCE;
        return false;
    }
    if (!is_known(doc, err)) {
        return false;
    }
    *out = TAKE(doc);
    return true;
}
