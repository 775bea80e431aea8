/* Which certificate of an answer is ours, in which order its issuers are, and whether all holds
 * that must hold before it is bound. */
#include "x509/x509.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <openssl/err.h>

static void hash_of(EVP_PKEY *key, uint8_t *out)
{
    struct err err = ERR_INIT;

    assert_ok(x509_spki_hash(key, out, &err), &err);
}

/* Sorts an answer for the chain's leaf key; "www.example.org Middle". */
static const char *sorted(struct pki_chain *c, STACK_OF(X509) * answer)
{
    AUTO(x509) X509 *leaf = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    AUTO(buf) struct buf out = BUF_INIT(1000);
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;
    char cn[64] = "";

    hash_of(c->leaf_key, hash);
    assert_ok(x509_sort_answer(answer, hash, &leaf, &chain, &err), &err);
    assert_int_equal(ERR_peek_error(), 0);
    X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, cn, sizeof(cn));
    buf_add_str(&out, cn);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof(cn));
        buf_addf(&out, " %s", cn);
    }
    return tmp_printf("%s", buf_str(&out));
}

static void test_every_order_of_the_answer_gives_the_same(void **state UNUSED)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    X509 *const certs[] = {c.leaf, c.middle, c.root};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        AUTO(pki_stack)
        STACK_OF(X509) *answer =
            pki_stack(certs[orders[i][0]], certs[orders[i][1]], certs[orders[i][2]], (X509 *)NULL);
        assert_string_equal(sorted(&c, answer), "www.example.org Middle");
    }
}

static void test_of_several_certificates_for_the_key_the_last_to_end_is_taken(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    AUTO(pki_cert)
    X509 *before = pki_cert(
        &(struct pki_spec){.cn = "before", .key = c.leaf_key, .not_after = PKI_NOW + PKI_DAY});
    AUTO(pki_stack) STACK_OF(X509) *answer = pki_stack(before, c.leaf, c.middle, (X509 *)NULL);
    assert_string_equal(sorted(&c, answer), "www.example.org Middle");
}

static void test_root_may_be_missing(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    AUTO(pki_stack) STACK_OF(X509) *answer = pki_stack(c.middle, c.leaf, (X509 *)NULL);
    assert_string_equal(sorted(&c, answer), "www.example.org Middle");
}

static void test_leaf_alone(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    AUTO(pki_stack) STACK_OF(X509) *answer = pki_stack(c.leaf, (X509 *)NULL);
    assert_string_equal(sorted(&c, answer), "www.example.org");
}

static void test_unrelated_certificates_are_left_out(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(pki_chain) struct pki_chain other;

    pki_chain(&c);
    pki_chain(&other);
    AUTO(pki_stack)
    STACK_OF(X509) *answer =
        pki_stack(other.root, c.leaf, other.middle, c.middle, other.leaf, (X509 *)NULL);
    assert_string_equal(sorted(&c, answer), "www.example.org Middle");
}

/* Same name as the issuer, another key: only the signature tells. */
static void test_issuer_is_found_by_its_signature(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(pki_chain) struct pki_chain other;
    AUTO(x509) X509 *leaf = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    pki_chain(&c);
    pki_chain(&other);
    hash_of(c.leaf_key, hash);
    AUTO(pki_stack)
    STACK_OF(X509) *answer = pki_stack(other.middle, c.middle, c.leaf, (X509 *)NULL);
    assert_ok(x509_sort_answer(answer, hash, &leaf, &chain, &err), &err);
    assert_int_equal(sk_X509_num(chain), 1);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 0), c.middle), 0);
}

static void test_answer_without_our_certificate_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    X509 *leaf = NULL;
    STACK_OF(X509) *chain = NULL;
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    pki_chain(&c);
    hash_of(c.leaf_key, hash);
    AUTO(pki_stack) STACK_OF(X509) *answer = pki_stack(c.middle, c.root, (X509 *)NULL);
    assert_fails(x509_sort_answer(answer, hash, &leaf, &chain, &err), &err, E_CERT_REJECTED,
                 "the CA's answer has 2 certificates, and none is for the key");
    assert_null(leaf);
    assert_null(chain);
}

/* Two CAs that certify each other. */
static void test_loop_of_cross_certificates_ends(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;

    pki_chain(&c);
    AUTO(pki_cert)
    X509 *back = pki_cert(&(struct pki_spec){.cn = "Root",
                                             .ca = true,
                                             .serial = 9,
                                             .key = c.root_key,
                                             .issuer = c.middle,
                                             .signer = c.middle_key});
    AUTO(pki_stack) STACK_OF(X509) *answer = pki_stack(c.leaf, c.middle, back, (X509 *)NULL);
    assert_string_equal(sorted(&c, answer), "www.example.org Middle Root");
}

/* A root that an older root has certified as well, as public CAs do. */
struct crossed {
    struct pki_chain c;
    EVP_PKEY *old_key;
    X509 *old_root, *cross;
};

static void crossed_done(struct crossed *x)
{
    pki_chain_done(&x->c);
    EVP_PKEY_free(x->old_key);
    X509_free(x->old_root);
    X509_free(x->cross);
}

DEFINE_AUTO_DONE(crossed, struct crossed, crossed_done)

static void crossed(struct crossed *x)
{
    pki_chain(&x->c);
    x->old_key = pki_ec("prime256v1");
    x->old_root = pki_cert(&(struct pki_spec){.cn = "Old Root", .ca = true, .key = x->old_key});
    x->cross = pki_cert(&(struct pki_spec){.cn = "Root",
                                           .ca = true,
                                           .serial = 8,
                                           .key = x->c.root_key,
                                           .issuer = x->old_root,
                                           .signer = x->old_key});
}

/* Verification */

struct trial {
    const char *names; /* NULL: www.example.org */
    EVP_PKEY *key;     /* NULL: the leaf's */
    const char *roots; /* PEM text; NULL: the root */
    bool no_roots;
    X509 *leaf;             /* NULL: the chain's */
    STACK_OF(X509) * chain; /* NULL: the intermediate */
    int64_t now_s;          /* 0: PKI_NOW */
};

static bool verify(struct pki_chain *c, const struct trial *t, struct err *err)
{
    AUTO(x509_names) struct x509_names names = X509_NAMES_INIT;
    AUTO(pki_stack) STACK_OF(X509) *middle = pki_stack(c->middle, (X509 *)NULL);
    uint8_t hash[X509_SPKI_HASH_LEN];
    const char *roots = t->roots != NULL ? t->roots : pki_pem(c->root);

    hash_of(t->key != NULL ? t->key : c->leaf_key, hash);
    assert_ok(x509_names_add_list(&names, t->names != NULL ? t->names : "www.example.org", err),
              err);
    struct x509_expectation expect = {
        .spki_hash = hash,
        .names = &names,
        .roots_path = t->no_roots ? NULL : tmp_text(tmp_dir(), "roots.pem", roots),
        .now_s = t->now_s != 0 ? t->now_s : PKI_NOW};
    bool ok = x509_verify_issued(t->leaf != NULL ? t->leaf : c->leaf,
                                 t->chain != NULL ? t->chain : middle, &expect, err);
    assert_int_equal(ERR_peek_error(), 0);
    return ok;
}

static void test_good_certificate_passes(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_ok(verify(&c, &(struct trial){.names = NULL}, &err), &err);
}

static void test_certificate_for_another_key_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_fails(verify(&c, &(struct trial){.key = c.middle_key}, &err), &err, E_CERT_REJECTED,
                 "the certificate is for another key");
}

static void test_missing_names_are_rejected_and_listed(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_fails(verify(&c, &(struct trial){.names = "a.b www.example.org c.d"}, &err), &err,
                 E_CERT_REJECTED, "the certificate lacks names that were ordered: a.b, c.d");
}

static void test_expired_certificate_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_fails(verify(&c, &(struct trial){.now_s = PKI_NOW + 366 * (int64_t)PKI_DAY}, &err), &err,
                 E_CERT_REJECTED, "the certificate expired on 2027-08-01T00:00:00Z");
}

static void test_certificate_of_the_future_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_fails(verify(&c, &(struct trial){.now_s = PKI_NOW - 2 * PKI_DAY}, &err), &err,
                 E_CERT_REJECTED, "is valid from 2026-07-31T00:00:00Z only");
}

static X509 *leaf_from(struct pki_chain *c, int64_t not_before, int64_t not_after)
{
    return pki_cert(&(struct pki_spec){.cn = "www.example.org",
                                       .san = "DNS:www.example.org",
                                       .key = c->leaf_key,
                                       .issuer = c->middle,
                                       .signer = c->middle_key,
                                       .not_before = not_before,
                                       .not_after = not_after});
}

/* CAs issue "from now on", and clocks differ by a minute or two: CLOCK_SKEW_S is 300. */
static void test_clock_that_is_a_little_behind_is_tolerated(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    AUTO(pki_cert) X509 *leaf = leaf_from(&c, PKI_NOW + 120, PKI_NOW + PKI_DAY);
    assert_ok(verify(&c, &(struct trial){.leaf = leaf}, &err), &err);
}

static void test_certificate_that_ends_before_it_begins_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    AUTO(pki_cert) X509 *leaf = leaf_from(&c, PKI_NOW + 10, PKI_NOW + 5);
    assert_fails(verify(&c, &(struct trial){.leaf = leaf}, &err), &err, E_CERT_REJECTED,
                 "ends before it begins");
}

static void test_other_root_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(pki_chain) struct pki_chain other;
    struct err err = ERR_INIT;

    pki_chain(&c);
    pki_chain(&other);
    assert_fails(verify(&c, &(struct trial){.roots = pki_pem(other.root)}, &err), &err,
                 E_CERT_REJECTED, "the chain does not lead to a trusted root: ");
    assert_contains(err.msg, "issued by 'CN=");
}

static void test_missing_intermediate_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(pki_stack) STACK_OF(X509) *none = pki_stack(NULL);
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_fails(verify(&c, &(struct trial){.chain = none}, &err), &err, E_CERT_REJECTED,
                 "unable to get local issuer certificate (at 'CN=www.example.org', issued by "
                 "'CN=Middle')");
}

static void test_issuer_that_is_no_ca_is_rejected(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    AUTO(pki_cert)
    X509 *no_ca = pki_cert(&(struct pki_spec){
        .cn = "Middle", .serial = 2, .key = c.middle_key, .issuer = c.root, .signer = c.root_key});
    AUTO(pki_stack) STACK_OF(X509) *chain = pki_stack(no_ca, (X509 *)NULL);
    assert_fails(verify(&c, &(struct trial){.chain = chain}, &err), &err, E_CERT_REJECTED,
                 "the chain does not lead to a trusted root");
}

static void test_expired_intermediate_is_rejected_and_named(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    AUTO(pki_cert)
    X509 *old = pki_cert(&(struct pki_spec){.cn = "Middle",
                                            .ca = true,
                                            .serial = 2,
                                            .key = c.middle_key,
                                            .issuer = c.root,
                                            .signer = c.root_key,
                                            .not_before = PKI_NOW - 10 * PKI_DAY,
                                            .not_after = PKI_NOW - PKI_DAY});
    AUTO(pki_stack) STACK_OF(X509) *chain = pki_stack(old, (X509 *)NULL);
    assert_fails(verify(&c, &(struct trial){.chain = chain}, &err), &err, E_CERT_REJECTED,
                 "certificate has expired (at 'CN=Middle'");
}

static void test_no_roots_is_a_matter_of_configuration(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_fails(verify(&c, &(struct trial){.no_roots = true}, &err), &err, E_CONFIG,
                 "no roots are configured");
}

static void test_roots_that_are_none_are_named(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    struct err err = ERR_INIT;

    pki_chain(&c);
    assert_fails(verify(&c, &(struct trial){.roots = "garbage"}, &err), &err, E_PROTOCOL,
                 "roots for issued certificates: ");
}

/* As distributions ship them: more than X509_BUNDLE_MAX, the right one last. */
static void test_every_root_of_a_large_file_counts(void **state UNUSED)
{
    AUTO(pki_chain) struct pki_chain c;
    AUTO(buf) struct buf roots = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;

    pki_chain(&c);
    for (int i = 0; i < X509_BUNDLE_MAX; i++) {
        AUTO(pki_cert)
        X509 *other = pki_cert(
            &(struct pki_spec){.cn = "Other", .ca = true, .serial = 100 + i, .key = c.middle_key});
        buf_add_str(&roots, pki_pem(other));
    }
    buf_add_str(&roots, pki_pem(c.root));
    assert_ok(verify(&c, &(struct trial){.roots = buf_str(&roots)}, &err), &err);
}

static const char *verify_crossed(struct crossed *x, X509 *trusted, X509 *third, X509 *fourth)
{
    AUTO(x509) X509 *leaf = NULL;
    AUTO(x509_stack) STACK_OF(X509) *chain = NULL;
    AUTO(pki_stack)
    STACK_OF(X509) *answer = pki_stack(x->c.leaf, x->c.middle, third, fourth, (X509 *)NULL);
    uint8_t hash[X509_SPKI_HASH_LEN];
    struct err err = ERR_INIT;

    hash_of(x->c.leaf_key, hash);
    assert_ok(x509_sort_answer(answer, hash, &leaf, &chain, &err), &err);
    struct trial trial = {.roots = pki_pem(trusted), .chain = chain};
    return verify(&x->c, &trial, &err) ? "" : tmp_printf("%s", err.msg);
}

static void test_cross_certificate_behind_the_root_it_replaces(void **state UNUSED)
{
    AUTO(crossed) struct crossed x;

    crossed(&x);
    assert_string_equal(verify_crossed(&x, x.c.root, x.c.root, x.cross), "");
    assert_string_equal(verify_crossed(&x, x.c.root, x.cross, x.c.root), "");
}

/* "Position in the answer means nothing", with the older root trusted alone. */
static void test_cross_certificate_leads_to_the_older_root_in_any_order(void **state UNUSED)
{
    AUTO(crossed) struct crossed x;

    crossed(&x);
    assert_string_equal(verify_crossed(&x, x.old_root, x.cross, x.c.root), "");
    assert_string_equal(verify_crossed(&x, x.old_root, x.c.root, x.cross), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_order_of_the_answer_gives_the_same),
        cmocka_unit_test(test_of_several_certificates_for_the_key_the_last_to_end_is_taken),
        cmocka_unit_test(test_root_may_be_missing),
        cmocka_unit_test(test_leaf_alone),
        cmocka_unit_test(test_unrelated_certificates_are_left_out),
        cmocka_unit_test(test_issuer_is_found_by_its_signature),
        cmocka_unit_test(test_answer_without_our_certificate_is_rejected),
        cmocka_unit_test(test_loop_of_cross_certificates_ends),
        cmocka_unit_test(test_good_certificate_passes),
        cmocka_unit_test(test_certificate_for_another_key_is_rejected),
        cmocka_unit_test(test_missing_names_are_rejected_and_listed),
        cmocka_unit_test(test_expired_certificate_is_rejected),
        cmocka_unit_test(test_certificate_of_the_future_is_rejected),
        cmocka_unit_test(test_clock_that_is_a_little_behind_is_tolerated),
        cmocka_unit_test(test_certificate_that_ends_before_it_begins_is_rejected),
        cmocka_unit_test(test_other_root_is_rejected),
        cmocka_unit_test(test_missing_intermediate_is_rejected),
        cmocka_unit_test(test_issuer_that_is_no_ca_is_rejected),
        cmocka_unit_test(test_expired_intermediate_is_rejected_and_named),
        cmocka_unit_test(test_no_roots_is_a_matter_of_configuration),
        cmocka_unit_test(test_roots_that_are_none_are_named),
        cmocka_unit_test(test_every_root_of_a_large_file_counts),
        cmocka_unit_test(test_cross_certificate_behind_the_root_it_replaces),
        cmocka_unit_test(test_cross_certificate_leads_to_the_older_root_in_any_order),
    };

    return UNIT_RUN(tests);
}
