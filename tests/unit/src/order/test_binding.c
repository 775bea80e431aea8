#include "order/order.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* A journal, a key, and three certificates of it. */
struct scene {
    struct clock clock;
    struct journal *journal;
    EVP_PKEY *key;
    X509 *certs[3];
};

static void scene_done(struct scene *s)
{
    journal_close(s->journal);
    EVP_PKEY_free(s->key);
    for (size_t i = 0; i < ARRAY_LEN(s->certs); i++) {
        X509_free(s->certs[i]);
    }
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void begin(struct scene *s)
{
    struct err err = ERR_INIT;

    *s = (struct scene){.clock = clock_system(NULL), .key = pki_ec("prime256v1")};
    for (size_t i = 0; i < ARRAY_LEN(s->certs); i++) {
        s->certs[i] =
            pki_cert(&(struct pki_spec){.cn = "www", .serial = (long)i + 1, .key = s->key});
    }
    assert_ok(journal_open(tmp_dir(), &s->clock, &s->journal, &err), &err);
}

/* Notes that `cert` (NULL: nothing) takes the place of some others, with label "l<n>". */
static int64_t note(struct scene *s, uint8_t key, X509 *cert, const size_t *old, size_t count)
{
    AUTO(binding) struct binding binding = {.spki_hash = {key}};
    struct err err = ERR_INIT;

    assert_ok(order_set(&binding.key_uri, "pkcs11:object=www", &err), &err);
    binding.old = calloc(count, sizeof(*binding.old));
    assert_non_null(binding.old);
    for (size_t i = 0; i < count; i++) {
        binding.old[i].cert = s->certs[old[i]];
        (void)X509_up_ref(s->certs[old[i]]);
        assert_ok(order_set(&binding.old[i].label, old[i] == 0 ? "l0" : "l1", &err), &err);
        binding.old_count++;
    }
    if (cert != NULL) {
        (void)X509_up_ref(cert);
        binding.cert = cert;
    }
    assert_ok(journal_note_binding(s->journal, &binding, &err), &err);
    return binding.id;
}

static struct binding last(struct scene *s, uint8_t key)
{
    struct binding found;
    const uint8_t hash[X509_SPKI_HASH_LEN] = {key};
    struct err err = ERR_INIT;

    assert_ok(journal_last_binding(s->journal, hash, &found, &err), &err);
    return found;
}

static void test_what_was_replaced_comes_back_as_it_was(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    begin(&s);
    int64_t id = note(&s, 1, s.certs[2], (const size_t[]){0, 1}, 2);
    AUTO(binding) struct binding found = last(&s, 1);

    assert_int_equal(found.id, id);
    assert_true(found.at_s > 0);
    assert_non_null(strchr(found.who, '@'));
    assert_string_equal(found.key_uri, "pkcs11:object=www");
    assert_int_equal(X509_cmp(found.cert, s.certs[2]), 0);
    assert_int_equal(found.old_count, 2);
    assert_string_equal(found.old[0].label, "l0");
    assert_int_equal(X509_cmp(found.old[0].cert, s.certs[0]), 0);
    assert_string_equal(found.old[1].label, "l1");
    assert_int_equal(X509_cmp(found.old[1].cert, s.certs[1]), 0);
}

static void test_key_of_which_nothing_is_known(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    begin(&s);
    (void)note(&s, 1, s.certs[2], (const size_t[]){0}, 1);
    AUTO(binding) struct binding found = last(&s, 2);

    assert_int_equal(found.id, 0);
}

static void test_interrupted_bind_goes_on_in_its_entry(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    begin(&s);
    int64_t first = note(&s, 1, s.certs[2], (const size_t[]){0, 1}, 2);
    int64_t second = note(&s, 1, s.certs[2], (const size_t[]){1}, 1); /* the other one is gone */
    AUTO(binding) struct binding found = last(&s, 1);

    assert_int_equal(first, second);
    assert_int_equal(found.old_count, 2);
}

static void test_another_bind_is_another_entry(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    begin(&s);
    int64_t first = note(&s, 1, s.certs[1], (const size_t[]){0}, 1);
    int64_t second = note(&s, 1, s.certs[2], (const size_t[]){1}, 1);
    AUTO(binding) struct binding found = last(&s, 1);

    assert_int_not_equal(first, second);
    assert_int_equal(found.id, second);
}

static void test_what_was_undone_is_passed_over(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;
    begin(&s);
    int64_t first = note(&s, 1, s.certs[1], (const size_t[]){0}, 1);
    int64_t second = note(&s, 1, s.certs[2], (const size_t[]){1}, 1);

    assert_ok(journal_binding_undone(s.journal, second, &err), &err);
    AUTO(binding) struct binding found = last(&s, 1);
    assert_int_equal(found.id, first);
    int64_t again = note(&s, 1, s.certs[2], (const size_t[]){1}, 1);
    assert_int_not_equal(again, second); /* an undone bind is not gone on with */
}

static void test_removal_has_no_new_certificate(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    begin(&s);
    int64_t first = note(&s, 1, NULL, (const size_t[]){0}, 1);
    int64_t second = note(&s, 1, NULL, (const size_t[]){1}, 1);
    AUTO(binding) struct binding found = last(&s, 1);

    assert_int_not_equal(first, second);
    assert_null(found.cert);
    assert_int_equal(found.old_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_replaced_comes_back_as_it_was),
        cmocka_unit_test(test_key_of_which_nothing_is_known),
        cmocka_unit_test(test_interrupted_bind_goes_on_in_its_entry),
        cmocka_unit_test(test_another_bind_is_another_entry),
        cmocka_unit_test(test_what_was_undone_is_passed_over),
        cmocka_unit_test(test_removal_has_no_new_certificate),
    };

    return UNIT_RUN(tests);
}
