#include "app/evidence.h"

#include "base/str.h"

static bool read_raw(const json *device, const struct hsm_form **form, struct buf *raw,
                     struct err *err)
{
    const char *name = NULL;
    const char *given = NULL;
    char hash[APP_HASH_TEXT];

    if (!json_get_string(device, "form", &name, err) ||
        !json_get_string(device, "raw_sha256", &given, err) ||
        !evidence_decode(device, "raw", raw, err) ||
        !evidence_hash_bytes(raw->data, raw->len, hash, err)) {
        return false;
    }
    if (!str_equal(given, hash)) {
        return err_set(err, E_EVIDENCE, "its SHA-256 is not the one in the file");
    }
    *form = hsm_form_named(name);
    if (*form == NULL) {
        return err_set(err, E_EVIDENCE, "its form '%.40s' is not known", name);
    }
    /* the file does not choose by whose rules it is read */
    const struct hsm_form *is = hsm_form_of(raw->data, raw->len);
    return is == *form ||
           err_set(err, E_EVIDENCE, "the file calls it '%s', and what is in it has the form '%s'",
                   (*form)->name, is->name);
}

/* The names of the facts that differ are worth a word of their own. */
static bool facts_agree(const json *device, const struct hsm_attested *attested, struct err *err)
{
    const json *facts = json_member(device, "facts");
    const char *names[HSM_ATTESTED_FACTS];

    for (size_t i = 0; i < attested->fact_count; i++) {
        const struct hsm_fact *fact = &attested->facts[i];
        const char *given = NULL;
        names[i] = fact->name;
        if (!json_find_string(facts, fact->name, &given) || !str_equal(given, fact->value)) {
            return err_set(err, E_EVIDENCE, "it says %s '%s', and the file says something else",
                           fact->name, fact->value);
        }
    }
    const char *other = json_unknown_member(facts, names, attested->fact_count);
    return other == NULL ||
           err_set(err, E_EVIDENCE, "the file says '%.40s' in its name, and it does not", other);
}

/* So for every other field: there is one text for what the attestation is. */
static bool is_as_written(const json *device, const struct hsm_form *form, const struct buf *raw,
                          const struct hsm_attested *attested, struct err *err)
{
    AUTO(json) json *expected = NULL;
    AUTO(buf) struct buf should = BUF_INIT(2 * EVIDENCE_FILE_MAX);
    AUTO(buf) struct buf is = BUF_INIT(2 * EVIDENCE_FILE_MAX);

    if (!evidence_attestation(form, raw, attested, &expected, err) ||
        !json_print_sorted(expected, false, &should, err)) {
        return false;
    }
    return (json_is_object(device) && json_print_sorted(device, false, &is, err) &&
            str_equal(buf_str(&should), buf_str(&is))) ||
           err_set(err, E_EVIDENCE, "the file does not say of it what it is: %s%s",
                   form != NULL
                       ? "one of 'device', 'proves', 'read' and 'facts' differs for the form "
                       : "nothing attests the key, and it says more",
                   form != NULL ? form->name : "");
}

bool evidence_read_device(const json *device, const struct hsm_form **form, struct buf *raw,
                          struct hsm_attested *attested, struct err *err)
{
    bool is_attested = false;

    *form = NULL;
    if (!json_find_bool(device, "attested", &is_attested) || !is_attested) {
        return is_as_written(device, NULL, raw, attested, err);
    }
    return read_raw(device, form, raw, err) &&
           hsm_attestation_parse(*form, raw->data, raw->len, attested, err) &&
           facts_agree(device, attested, err) && is_as_written(device, *form, raw, attested, err);
}

bool evidence_maker(const struct app_evidence_files *files, const struct hsm_form **out,
                    struct err *err)
{
    AUTO(buf) struct buf known = BUF_INIT(256);

    *out = NULL;
    if (files->device == NULL) {
        return true;
    }
    if (files->roots == NULL) {
        return err_set(err, E_USAGE, "--device says whose roots are given, and --roots is missing");
    }
    for (size_t i = 0; hsm_form_at(i) != NULL; i++) {
        const struct hsm_form *form = hsm_form_at(i);
        if (form->parse == NULL) {
            continue;
        }
        if (str_equal(form->name, files->device)) {
            *out = form;
            return true;
        }
        buf_addf(&known, "%s%s", known.len > 0 ? ", " : "", form->name);
    }
    return err_set(err, E_USAGE, "--device: '%.40s' is none of the forms that can be checked: %s",
                   files->device, buf_str(&known));
}
