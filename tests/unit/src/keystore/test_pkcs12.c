/* Client identities in PKCS#12 files, made here with libcrypto. */
#include "keystore/ks.h"

#include "base/file.h"
#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <stdlib.h>
#include <time.h>

static struct keystore store = {.secrets = {.allow_env = true}};

struct entry {
    EVP_PKEY *key;
    const char *key_name; /* NULL: none */
    X509 *cert;
    const char *cert_name;
    int id; /* localKeyID of both; 0: none */
};

struct file {
    struct entry entries[3];
    X509 *issuer;         /* beside them; NULL: none */
    const char *password; /* NULL: none at all */
    int pbe;              /* 0: AES-256 */
    bool plain_keys;      /* keys in bags that are not encrypted */
    bool without_mac;
    int mac_iterations;
};

static void add_id(PKCS12_SAFEBAG *bag, int id)
{
    unsigned char value[] = {0xaa, (unsigned char)id};

    assert_true(id == 0 || PKCS12_add_localkeyid(bag, value, sizeof(value)) == 1);
}

static void add_cert(STACK_OF(PKCS12_SAFEBAG) * *bags, X509 *cert, const char *name, int id)
{
    PKCS12_SAFEBAG *bag = PKCS12_SAFEBAG_create_cert(cert);

    if (*bags == NULL) {
        *bags = sk_PKCS12_SAFEBAG_new_null();
    }
    assert_non_null(bag);
    assert_true(name == NULL || PKCS12_add_friendlyname_utf8(bag, name, -1) == 1);
    add_id(bag, id);
    assert_true(sk_PKCS12_SAFEBAG_push(*bags, bag) > 0);
}

static void add_key(STACK_OF(PKCS12_SAFEBAG) * *bags, const struct entry *e, const struct file *f,
                    int pbe)
{
    PKCS12_SAFEBAG *bag =
        PKCS12_add_key(bags, e->key, 0, 2048, f->plain_keys ? -1 : pbe, f->password);

    assert_non_null(bag);
    assert_true(e->key_name == NULL || PKCS12_add_friendlyname_utf8(bag, e->key_name, -1) == 1);
    add_id(bag, e->id);
}

/* Writes the file and returns its path. */
static const char *write_p12(const struct file *f)
{
    STACK_OF(PKCS12_SAFEBAG) *certs = NULL;
    STACK_OF(PKCS12_SAFEBAG) *keys = NULL;
    STACK_OF(PKCS7) *safes = NULL;
    int pbe = f->pbe != 0 ? f->pbe : NID_aes_256_cbc;
    unsigned char *der = NULL;

    for (size_t i = 0; i < ARRAY_LEN(f->entries); i++) {
        if (f->entries[i].cert != NULL) {
            add_cert(&certs, f->entries[i].cert, f->entries[i].cert_name, f->entries[i].id);
        }
        if (f->entries[i].key != NULL) {
            add_key(&keys, &f->entries[i], f, pbe);
        }
    }
    if (f->issuer != NULL) {
        add_cert(&certs, f->issuer, NULL, 0);
    }
    assert_true(certs == NULL || PKCS12_add_safe(&safes, certs, pbe, 2048, f->password) == 1);
    assert_true(keys == NULL || PKCS12_add_safe(&safes, keys, -1, 0, NULL) == 1);
    PKCS12 *p12 = PKCS12_add_safes(safes, 0);
    assert_non_null(p12);
    if (!f->without_mac) {
        assert_int_equal(PKCS12_set_mac(p12, f->password, -1, NULL, 0, 2048, EVP_sha256()), 1);
    }
    int len = i2d_PKCS12(p12, &der);
    assert_true(len > 0);
    const char *path = tmp_file(tmp_dir(), "x.p12", der, (size_t)len, 0600);
    OPENSSL_free(der);
    PKCS12_free(p12);
    sk_PKCS7_pop_free(safes, PKCS7_free);
    sk_PKCS12_SAFEBAG_pop_free(certs, PKCS12_SAFEBAG_free);
    sk_PKCS12_SAFEBAG_pop_free(keys, PKCS12_SAFEBAG_free);
    return path;
}

static bool open_p12(const char *path, const char *alias, const char *password,
                     struct keystore_identity *out, struct err *err)
{
    struct keystore_source source = {.cert = path, .alias = alias};

    if (password != NULL) {
        assert_int_equal(setenv("UNIT_PASSWORD", password, 1), 0);
        source.password_source = "env:UNIT_PASSWORD";
    }
    ERR_clear_error();
    bool ok = keystore_open(&store, &source, out, err);
    assert_int_equal(ERR_peek_error(), 0);
    return ok;
}

static void opens(const struct file *f, const char *alias, const char *password, EVP_PKEY *key)
{
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_ok(open_p12(write_p12(f), alias, password, &identity, &err), &err);
    assert_int_equal(EVP_PKEY_eq(identity.key, key), 1);
    assert_int_equal(X509_check_private_key(identity.cert, key), 1);
}

static void fails(const struct file *f, const char *alias, const char *password, enum err_code code,
                  const char *words)
{
    struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_fails(open_p12(write_p12(f), alias, password, &identity, &err), &err, code, words);
    assert_null(identity.key);
}

static struct file usual(struct pki_chain *c)
{
    return (struct file){.entries = {{.key = c->leaf_key, .cert = c->leaf}},
                         .issuer = c->middle,
                         .password = "1234"};
}

static void test_usual_file(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    opens(&f, NULL, "1234", c.leaf_key);
}

static void test_issuers_are_taken_along(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    pki_chain(&c);
    struct file f = usual(&c);
    assert_ok(open_p12(write_p12(&f), NULL, "1234", &identity, &err), &err);
    assert_int_equal(sk_X509_num(identity.chain), 1);
    assert_int_equal(X509_cmp(sk_X509_value(identity.chain, 0), c.middle), 0);
}

static void test_older_encryption(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    f.pbe = NID_pbe_WithSHA1And3_Key_TripleDES_CBC;
    opens(&f, NULL, "1234", c.leaf_key);
}

static void test_password_with_utf8(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    f.password = "W\xc3\xa4hler";
    opens(&f, NULL, "W\xc3\xa4hler", c.leaf_key);
}

static void test_keys_that_are_not_encrypted(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    f.plain_keys = true;
    opens(&f, NULL, "1234", c.leaf_key);
}

static void test_file_without_a_mac(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    f.without_mac = true;
    opens(&f, NULL, "1234", c.leaf_key);
}

static void test_file_without_a_mac_and_a_wrong_password(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    f.without_mac = true;
    fails(&f, NULL, "9999", E_KEYSTORE, "its contents cannot be decrypted");
}

static void test_wrong_password(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    fails(&f, NULL, "9999", E_KEYSTORE, "the password does not open it");
    fails(&f, NULL, "", E_KEYSTORE, "the password does not open it");
}

static void test_missing_password(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    fails(&f, NULL, NULL, E_KEYSTORE, "it needs a password ('client_password_source')");
}

/* "A file without a password has none or the empty one; both exist." */
static void test_empty_password(void **state UNUSED)
{
    static const int ciphers[] = {0, NID_pbe_WithSHA1And3_Key_TripleDES_CBC};
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        struct file f = usual(&c);
        f.password = "";
        f.pbe = ciphers[i];
        opens(&f, NULL, "", c.leaf_key);
        opens(&f, NULL, NULL, c.leaf_key);
    }
}

static void test_no_password_at_all(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    f.password = NULL;
    opens(&f, NULL, NULL, c.leaf_key);
}

static void test_no_password_at_all_with_older_encryption(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    struct file f = usual(&c);
    f.password = NULL;
    f.pbe = NID_pbe_WithSHA1And3_Key_TripleDES_CBC;
    opens(&f, NULL, NULL, c.leaf_key);
}

/* Several keys */

struct two {
    EVP_PKEY *a, *b;
    X509 *a_cert, *b_cert;
};

static void two(struct two *t)
{
    t->a = pki_ec("prime256v1");
    t->b = pki_ec("prime256v1");
    t->a_cert = pki_cert(&(struct pki_spec){.cn = "a", .key = t->a});
    t->b_cert = pki_cert(&(struct pki_spec){.cn = "b", .key = t->b});
}

static void two_done(struct two *t)
{
    EVP_PKEY_free(t->a);
    EVP_PKEY_free(t->b);
    X509_free(t->a_cert);
    X509_free(t->b_cert);
}

DEFINE_AUTO_DONE(two, struct two, two_done)

static struct file both(struct two *t)
{
    return (struct file){
        .entries = {{t->a, "first", t->a_cert, NULL}, {t->b, "zw\xc3\xb6lf", t->b_cert, NULL}},
        .password = "1234"};
}

static void test_alias_chooses_among_several_keys(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = both(&t);
    opens(&f, "first", "1234", t.a);
    opens(&f, "zw\xc3\xb6lf", "1234", t.b);
}

static void test_several_keys_and_no_alias_is_an_error_with_the_aliases(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = both(&t);
    fails(&f, NULL, "1234", E_KEYSTORE,
          "there are several keys ('first', 'zw\xc3\xb6lf'); name one with 'client_alias'");
}

static void test_unknown_alias_is_an_error_with_the_aliases(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = both(&t);
    fails(&f, "third", "1234", E_KEYSTORE,
          "there is no key with alias 'third'; there are: 'first', 'zw\xc3\xb6lf'");
}

static void test_alias_is_compared_as_a_whole(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = both(&t);
    fails(&f, "firs", "1234", E_KEYSTORE, "there is no key with alias 'firs'");
    fails(&f, "First", "1234", E_KEYSTORE, "there is no key with alias 'First'");
    fails(&f, "", "1234", E_KEYSTORE, "there is no key with alias ''");
}

static void test_alias_on_the_certificate(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = {.entries = {{t.a, NULL, t.a_cert, "first"}, {t.b, NULL, t.b_cert, "second"}},
                     .password = "1234"};
    opens(&f, "first", "1234", t.a);
    opens(&f, "second", "1234", t.b);
}

static void test_same_alias_twice_is_an_error(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = {.entries = {{t.a, "x", t.a_cert, NULL}, {t.b, "x", t.b_cert, NULL}},
                     .password = "1234"};
    fails(&f, "x", "1234", E_KEYSTORE, "there are several keys ('x', 'x')");
}

static void test_keys_without_names_are_listed_as_such(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = {.entries = {{t.a, NULL, t.a_cert, NULL}, {t.b, NULL, t.b_cert, NULL}},
                     .password = "1234"};
    fails(&f, NULL, "1234", E_KEYSTORE, "('(none)', '(none)')");
}

/* A key whose certificate was renewed */

struct renewed {
    EVP_PKEY *key;
    X509 *expired, *valid, *longer, *future;
};

static X509 *cert_for(EVP_PKEY *key, const char *cn, int from_days, int to_days)
{
    int64_t now = (int64_t)time(NULL);

    return pki_cert(&(struct pki_spec){.cn = cn,
                                       .key = key,
                                       .not_before = now + from_days * (int64_t)PKI_DAY,
                                       .not_after = now + to_days * (int64_t)PKI_DAY});
}

static void renewed(struct renewed *r)
{
    r->key = pki_ec("prime256v1");
    r->expired = cert_for(r->key, "expired", -40, -5);
    r->valid = cert_for(r->key, "valid", -10, 10);
    r->longer = cert_for(r->key, "longer", -5, 20);
    r->future = cert_for(r->key, "future", 5, 30);
}

static void renewed_done(struct renewed *r)
{
    EVP_PKEY_free(r->key);
    X509_free(r->expired);
    X509_free(r->valid);
    X509_free(r->longer);
    X509_free(r->future);
}

DEFINE_AUTO_DONE(renewed, struct renewed, renewed_done)

static void gives(const struct file *f, const char *alias, X509 *cert)
{
    AUTO(keystore_identity) struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_ok(open_p12(write_p12(f), alias, "1234", &identity, &err), &err);
    assert_int_equal(X509_cmp(identity.cert, cert), 0);
}

static void test_the_certificate_that_is_valid_now_is_taken(void **state UNUSED)
{
    AUTO(renewed) struct renewed r;

    renewed(&r);
    struct file f = {.entries = {{.key = r.key, .cert = r.expired}, {.cert = r.valid}},
                     .password = "1234"};
    gives(&f, NULL, r.valid);
    f.entries[1].cert = r.future;
    f.entries[2].cert = r.valid;
    gives(&f, NULL, r.valid);
}

/* openssl pkcs12 -export ties the key to the first certificate of its input. */
static void test_a_tie_to_an_expired_certificate_does_not_count(void **state UNUSED)
{
    AUTO(renewed) struct renewed r;

    renewed(&r);
    struct file f = {.entries = {{.key = r.key, .cert = r.expired, .id = 1}, {.cert = r.valid}},
                     .password = "1234"};
    gives(&f, NULL, r.valid);
}

static void test_among_valid_certificates_the_tie_decides(void **state UNUSED)
{
    AUTO(renewed) struct renewed r;

    renewed(&r);
    struct file f = {.entries = {{.cert = r.longer}, {.key = r.key, .cert = r.valid, .id = 1}},
                     .password = "1234"};
    gives(&f, NULL, r.valid);
}

static void test_among_valid_certificates_the_longest_is_taken(void **state UNUSED)
{
    AUTO(renewed) struct renewed r;

    renewed(&r);
    struct file f = {.entries = {{.key = r.key, .cert = r.valid}, {.cert = r.longer}},
                     .password = "1234"};
    gives(&f, NULL, r.longer);
}

static void test_two_entries_with_one_key(void **state UNUSED)
{
    AUTO(renewed) struct renewed r;

    renewed(&r);
    struct file f = {
        .entries = {{r.key, "old", r.expired, "old", 1}, {r.key, "new", r.valid, "new", 2}},
        .password = "1234"};
    gives(&f, "old", r.expired);
    gives(&f, "new", r.valid);
    gives(&f, NULL, r.valid);
    f.entries[0].cert = r.longer; /* no entry is named, so neither tie counts */
    f.entries[1].cert = r.valid;
    gives(&f, NULL, r.longer);
    gives(&f, "new", r.valid);
}

static void test_two_entries_whose_certificates_have_no_names(void **state UNUSED)
{
    AUTO(renewed) struct renewed r;

    renewed(&r);
    struct file f = {
        .entries = {{r.key, "old", r.expired, NULL, 1}, {r.key, "new", r.valid, NULL, 2}},
        .password = "1234"};
    gives(&f, "old", r.expired);
    gives(&f, "new", r.valid);
}

static void test_alias_chooses_among_the_certificates_of_one_key(void **state UNUSED)
{
    AUTO(renewed) struct renewed r;

    renewed(&r);
    struct file f = {.entries = {{r.key, NULL, r.expired, "old", 1},
                                 {NULL, NULL, r.valid, "middle", 0},
                                 {NULL, NULL, r.longer, "new", 0}},
                     .password = "1234"};
    gives(&f, "old", r.expired);
    gives(&f, "middle", r.valid);
    gives(&f, "new", r.longer);
}

/* A key's own name goes before the same name on another key's certificate. */
static void test_alias_of_a_key_goes_before_that_of_a_certificate(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = {.entries = {{t.a, "x", t.a_cert, NULL, 0}, {t.b, "y", t.b_cert, "x", 0}},
                     .password = "1234"};
    gives(&f, "x", t.a_cert);
    gives(&f, "y", t.b_cert);
}

static void test_certificate_of_the_other_key_is_not_taken(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = {.entries = {{.key = t.a, .cert = t.b_cert}}, .password = "1234"};
    fails(&f, NULL, "1234", E_KEYSTORE, "none of the 1 certificates belongs to the key");
}

static void test_file_without_a_key(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = {.entries = {{.cert = t.a_cert}}, .password = "1234"};
    fails(&f, NULL, "1234", E_KEYSTORE, "there is no private key in it");
}

static void test_file_without_a_certificate(void **state UNUSED)
{
    AUTO(two) struct two t;

    two(&t);
    struct file f = {.entries = {{.key = t.a}}, .password = "1234"};
    fails(&f, NULL, "1234", E_KEYSTORE, "none of the 0 certificates belongs to the key");
}

/* Damage */

static void test_der_that_is_no_pkcs12(void **state UNUSED)
{
    AUTO(two) struct two t;
    struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;
    size_t len = 0;

    two(&t);
    const uint8_t *der = pki_der(t.a_cert, &len);
    const char *path = tmp_file(tmp_dir(), "x.p12", der, len, 0600);
    assert_fails(open_p12(path, NULL, "1234", &identity, &err), &err, E_KEYSTORE,
                 "is no PKCS#12 file");
}

static void test_binary_that_is_no_der(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "x.p12", "\x30\x82\xff\xff\x00\x01", 6, 0600);
    struct keystore_identity identity = {.key = NULL};
    struct err err = ERR_INIT;

    assert_fails(open_p12(path, NULL, "1234", &identity, &err), &err, E_KEYSTORE,
                 "is no PKCS#12 file");
}

static void test_file_that_is_cut_anywhere(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    const char *dir = tmp_dir();

    pki_chain(&c);
    struct file f = usual(&c);
    AUTO(buf) struct buf whole = BUF_INIT(100000);
    struct err err = ERR_INIT;
    assert_ok(file_read(write_p12(&f), &whole, &err), &err);
    for (size_t len = 3; len < whole.len; len += 97) {
        struct keystore_identity identity = {.key = NULL};
        const char *path = tmp_file(dir, "x.p12", whole.data, len, 0600);
        assert_fails(open_p12(path, NULL, "1234", &identity, &err), &err, E_KEYSTORE, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual_file),
        cmocka_unit_test(test_issuers_are_taken_along),
        cmocka_unit_test(test_older_encryption),
        cmocka_unit_test(test_password_with_utf8),
        cmocka_unit_test(test_keys_that_are_not_encrypted),
        cmocka_unit_test(test_file_without_a_mac),
        cmocka_unit_test(test_file_without_a_mac_and_a_wrong_password),
        cmocka_unit_test(test_wrong_password),
        cmocka_unit_test(test_missing_password),
        cmocka_unit_test(test_empty_password),
        cmocka_unit_test(test_no_password_at_all),
        cmocka_unit_test(test_no_password_at_all_with_older_encryption),
        cmocka_unit_test(test_alias_chooses_among_several_keys),
        cmocka_unit_test(test_several_keys_and_no_alias_is_an_error_with_the_aliases),
        cmocka_unit_test(test_unknown_alias_is_an_error_with_the_aliases),
        cmocka_unit_test(test_alias_is_compared_as_a_whole),
        cmocka_unit_test(test_alias_on_the_certificate),
        cmocka_unit_test(test_same_alias_twice_is_an_error),
        cmocka_unit_test(test_keys_without_names_are_listed_as_such),
        cmocka_unit_test(test_the_certificate_that_is_valid_now_is_taken),
        cmocka_unit_test(test_a_tie_to_an_expired_certificate_does_not_count),
        cmocka_unit_test(test_among_valid_certificates_the_tie_decides),
        cmocka_unit_test(test_among_valid_certificates_the_longest_is_taken),
        cmocka_unit_test(test_two_entries_with_one_key),
        cmocka_unit_test(test_two_entries_whose_certificates_have_no_names),
        cmocka_unit_test(test_alias_chooses_among_the_certificates_of_one_key),
        cmocka_unit_test(test_alias_of_a_key_goes_before_that_of_a_certificate),
        cmocka_unit_test(test_certificate_of_the_other_key_is_not_taken),
        cmocka_unit_test(test_file_without_a_key),
        cmocka_unit_test(test_file_without_a_certificate),
        cmocka_unit_test(test_der_that_is_no_pkcs12),
        cmocka_unit_test(test_binary_that_is_no_der),
        cmocka_unit_test(test_file_that_is_cut_anywhere),
    };

    return UNIT_RUN(tests);
}
