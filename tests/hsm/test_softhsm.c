/*
 * hsm against a real SoftHSM token: who finalises, threads, forks, and the way from a blank token
 * to a bound certificate. Each case that is about the end of a process runs in one of its own.
 */
#include "base/file.h"
#include "hsm/access.h"
#include "hsm/admin.h"
#include "hsm/cert.h"
#include "hsm/keygen.h"
#include "hsm/op.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char softhsm[] = "/usr/lib/softhsm/libsofthsm2.so";

static struct {
    char dir[64];
    char shim[4096];
    char log[128];
} fixture;

static const char pin_text[] = "1234-test";

static bool give_pin(void *ctx, const struct hsm_token_info *token UNUSED, struct secret *pin,
                     struct err *err)
{
    int *asked = ctx;

    (*asked)++;
    return secret_set(pin, pin_text, strlen(pin_text), err);
}

static struct hsm_token *open_token(const char *label, bool login)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_token *token = NULL;
    struct err err = ERR_INIT;
    char text[64];
    int asked = 0;

    (void)snprintf(text, sizeof(text), "pkcs11:token=%s", label);
    assert_true(hsm_uri_parse(text, &uri, &err));
    struct hsm_target target = {.module_path = fixture.shim, .uri = &uri};
    struct hsm_pin pin = {.get = give_pin, .ctx = &asked};
    if (!hsm_token_open(&target, &token, &err) || (login && !hsm_login(token, &pin, &err))) {
        fail_msg("%s", err.msg);
    }
    return token;
}

static void make_key_for(struct hsm_token *token, const char *kind, const char *label,
                         unsigned usage, struct hsm_key *key)
{
    struct hsm_key_spec spec;
    struct hsm_verdict verdict;
    struct hsm_id id;
    struct err err = ERR_INIT;

    assert_true(hsm_key_spec_parse(kind, &spec, &err));
    assert_true(hsm_new_id(&id, &err));
    struct hsm_policy policy = hsm_policy_signing(spec);
    policy.usage = usage;
    struct hsm_key_name name = {.id = &id, .label = label, .id_is_random = true};
    if (!hsm_keygen(token, &policy, &name, key, &verdict, &err)) {
        fail_msg("%s", err.msg);
    }
    assert_true(verdict.ok);
}

static void make_key(struct hsm_token *token, const char *kind, const char *label,
                     struct hsm_key *key)
{
    make_key_for(token, kind, label, HSM_USE_SIGN, key);
}

/* Counts the calls of one function in the shim's log. */
static int count_calls(const char *function)
{
    AUTO(buf) struct buf text = BUF_INIT(1 << 24);
    struct err err = ERR_INIT;
    int count = 0;

    if (!file_read(fixture.log, &text, &err)) {
        return 0;
    }
    for (const char *p = buf_str(&text); (p = strstr(p, function)) != NULL; p++) {
        count += p[strlen(function)] == ' ' ? 1 : 0;
    }
    return count;
}

/* Runs a case in a child that ends through exit(), handlers included; returns its status. */
static int in_child(void (*body)(void))
{
    (void)unlink(fixture.log);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void use_a_key(void)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key key = {0};
    make_key(token, "ec:P-256", "used", &key);
}

static void test_module_that_we_initialised_is_finalised_once(void **state UNUSED)
{
    assert_int_equal(in_child(use_a_key), 0);
    assert_int_equal(count_calls("C_Finalize"), 1);
}

/* Another user of the module in this process. */
static CK_FUNCTION_LIST *somebody_else(CK_RV expected)
{
    CK_C_GetFunctionList get = NULL;
    CK_FUNCTION_LIST *list = NULL;
    void *handle = dlopen(fixture.shim, RTLD_NOW | RTLD_LOCAL);
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};

    *(void **)(&get) = dlsym(handle, "C_GetFunctionList");
    if (get(&list) != CKR_OK || list->C_Initialize(&args) != expected) {
        exit(1);
    }
    return list;
}

static void somebody_else_first(void)
{
    (void)somebody_else(CKR_OK);
    struct hsm_token *token = open_token("one", true);
    if (hsm_module_is_ours(token->module)) {
        exit(2);
    }
}

static void test_module_of_somebody_else_is_never_finalised(void **state UNUSED)
{
    assert_int_equal(in_child(somebody_else_first), 0);
    assert_int_equal(count_calls("C_Finalize"), 0);
}

/* The search for a token that is not there lists the slots anew and may restart the module. */
static void look_in_vain_beside(CK_FUNCTION_LIST *other)
{
    struct hsm_token *one = open_token("one", false);
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    struct hsm_target target = {.module_path = fixture.shim, .uri = &uri};
    struct hsm_token *nobody = NULL;
    struct err err = ERR_INIT;
    CK_SESSION_HANDLE session = 0;
    CK_SESSION_INFO info;

    if (other->C_OpenSession(one->info.slot_id, CKF_SERIAL_SESSION, NULL, NULL, &session) !=
            CKR_OK ||
        !hsm_uri_parse("pkcs11:token=nobody", &uri, &err)) {
        exit(2);
    }
    if (hsm_token_open(&target, &nobody, &err) || err.code != E_TOKEN_MISSING) {
        exit(3);
    }
    if (other->C_GetSessionInfo(session, &info) != CKR_OK) {
        exit(4);
    }
}

static void look_in_vain_after_somebody(void)
{
    look_in_vain_beside(somebody_else(CKR_OK));
}

static void look_in_vain_before_somebody(void)
{
    (void)open_token("one", false);
    look_in_vain_beside(somebody_else(CKR_CRYPTOKI_ALREADY_INITIALIZED));
}

static void test_missing_token_costs_nobody_his_session(void **state UNUSED)
{
    assert_int_equal(in_child(look_in_vain_after_somebody), 0);
    assert_int_equal(in_child(look_in_vain_before_somebody), 0);
}

static void fork_and_exit(void)
{
    struct hsm_token *token = open_token("one", true);
    pid_t pid = fork();
    if (pid == 0) {
        exit(0); /* runs the exit handlers in a process that did not initialise the module */
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0 || count_calls("C_Finalize") != 0) {
        exit(3);
    }
    /* the parent's session still works */
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    struct err err = ERR_INIT;
    if (!hsm_session_take(token, false, &session, &err)) {
        exit(4);
    }
}

static void test_forked_child_leaves_the_module_alone(void **state UNUSED)
{
    assert_int_equal(in_child(fork_and_exit), 0);
    assert_int_equal(count_calls("C_Finalize"), 1);
}

static void exit_inside(void)
{
    /* The watchdog's way out: no handler runs, nothing is finalised. */
    (void)open_token("one", true);
    _exit(0);
}

/* A child that goes on while its parent is killed with the lock in its hands: a server's worker. */
static void leave_a_child_behind(int child_pid)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct hsm_token *token = open_token("one", false);
    struct err err = ERR_INIT;

    if (!hsm_module_lock(token->module, &lock, &err)) {
        _exit(1);
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    if (write(child_pid, &pid, sizeof(pid)) == (ssize_t)sizeof(pid)) {
        (void)kill(getpid(), SIGKILL);
    }
    _exit(1);
}

static void take_the_lock(void)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    struct err err = ERR_INIT;
    char locks[96];

    (void)snprintf(locks, sizeof(locks), "%s/locks", fixture.dir);
    struct hsm_process process = {.lock_dir = locks, .lock_wait_ms = 1};
    struct hsm_token *token = open_token("one", false);
    exit(hsm_process_configure(&process, &err) && hsm_module_lock(token->module, &lock, &err) ? 0
                                                                                              : 1);
}

static void test_lock_of_a_killed_parent_is_free(void **state UNUSED)
{
    int child[2];
    int status = 0;
    pid_t left = 0;

    assert_int_equal(pipe(child), 0);
    pid_t parent = fork();
    if (parent == 0) {
        leave_a_child_behind(child[1]);
    }
    assert_int_equal(read(child[0], &left, sizeof(left)), (ssize_t)sizeof(left));
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(in_child(take_the_lock), 0);
    assert_int_equal(kill(left, SIGKILL), 0);
    (void)close(child[0]);
    (void)close(child[1]);
}

static void test_leaving_without_handlers_finalises_nothing(void **state UNUSED)
{
    assert_int_equal(in_child(exit_inside), 0);
    assert_int_equal(count_calls("C_Finalize"), 0);
}

static void login_twice(void)
{
    struct hsm_token *token = open_token("one", true);
    (void)open_token("one", true);
    struct hsm_token *other = open_token("two", true);
    if (token == other) {
        exit(5);
    }
}

static void test_one_login_per_token_and_process(void **state UNUSED)
{
    assert_int_equal(in_child(login_twice), 0);
    assert_int_equal(count_calls("C_Login"), 2);
    assert_int_equal(count_calls("C_Initialize"), 2); /* ours, and libp11's that finds it done */
}

enum { THREADS = 8, SIGNATURES = 40 };

struct signer {
    struct hsm_key *key;
    EVP_PKEY *public;
    bool ok;
};

static bool verifies(EVP_PKEY *public, const uint8_t digest[static 32], const uint8_t *raw,
                     size_t raw_len)
{
    ECDSA_SIG *value = ECDSA_SIG_new();
    unsigned char *der = NULL;
    int half = (int)(raw_len / 2);

    (void)ECDSA_SIG_set0(value, BN_bin2bn(raw, half, NULL), BN_bin2bn(raw + half, half, NULL));
    int len = i2d_ECDSA_SIG(value, &der);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(public, NULL);
    bool ok = len > 0 && EVP_PKEY_verify_init(ctx) == 1 &&
              EVP_PKEY_verify(ctx, der, (size_t)len, digest, 32) == 1;
    EVP_PKEY_CTX_free(ctx);
    OPENSSL_free(der);
    ECDSA_SIG_free(value);
    return ok;
}

static void *sign_many(void *arg)
{
    struct signer *signer = arg;
    const struct hsm_sign how = {.scheme = HSM_SIGN_ECDSA};
    uint8_t digest[32] = {0};
    struct err err = ERR_INIT;

    signer->ok = true;
    for (int i = 0; i < SIGNATURES && signer->ok; i++) {
        uint8_t raw[132];
        size_t len = sizeof(raw);
        digest[0] = (uint8_t)i;
        signer->ok = hsm_sign(signer->key, &how, NULL, digest, sizeof(digest), raw, &len, &err) &&
                     verifies(signer->public, digest, raw, len);
    }
    return NULL;
}

static void test_threads_sign_with_three_keys(void **state UNUSED)
{
    static const char *const labels[] = {"t-a", "t-b", "t-c"};
    struct hsm_token *token = open_token("one", true);
    struct hsm_key keys[3];
    EVP_PKEY *publics[3];
    struct signer signers[THREADS];
    pthread_t threads[THREADS];
    struct err err = ERR_INIT;

    for (size_t i = 0; i < 3; i++) {
        make_key(token, "ec:P-256", labels[i], &keys[i]);
        assert_true(hsm_key_public_evp(&keys[i], &publics[i], &err));
    }
    for (size_t i = 0; i < THREADS; i++) {
        signers[i] = (struct signer){.key = &keys[i % 3], .public = publics[i % 3]};
        assert_int_equal(pthread_create(&threads[i], NULL, sign_many, &signers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_true(signers[i].ok);
    }
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY_free(publics[i]);
        hsm_key_done(&keys[i]);
    }
}

static X509 *self_made(EVP_PKEY *subject_public, EVP_PKEY *signer, long serial)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    (void)X509_set_version(cert, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, subject_public);
    assert_true(X509_sign(cert, signer, EVP_sha256()) > 0);
    return cert;
}

static size_t certificates_of(struct hsm_token *token, const struct hsm_key *key)
{
    AUTO(hsm_session) struct hsm_session session = HSM_SESSION_INIT;
    AUTO(hsm_certs) struct hsm_certs certs = HSM_CERTS_INIT;
    struct hsm_uri uri = {.id = key->id};
    struct err err = ERR_INIT;

    assert_true(hsm_session_take_fresh(token, false, &session, &err));
    assert_true(hsm_certs_find(&session, &uri, &certs, &err));
    return certs.count;
}

static void test_bind_swaps_and_refuses_foreign_certificates(void **state UNUSED)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    EVP_PKEY *public = NULL;
    EVP_PKEY *signer = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    struct hsm_bind_report report;

    make_key(token, "ec:P-384", "bound", &key);
    assert_true(hsm_key_public_evp(&key, &public, &err));
    X509 *first = self_made(public, signer, 1);
    X509 *second = self_made(public, signer, 2);
    X509 *foreign = self_made(signer, signer, 3);

    struct hsm_bind bind = {.cert = first};
    assert_true(hsm_cert_bind(token, &key, &bind, &report, &err));
    assert_false(report.already_there);
    bind.cert = second;
    assert_true(hsm_cert_bind(token, &key, &bind, &report, &err));
    assert_int_equal(report.old_removed, 1);
    assert_true(hsm_cert_bind(token, &key, &bind, &report, &err));
    assert_true(report.already_there);
    assert_int_equal(certificates_of(token, &key), 1);

    bind.cert = foreign;
    assert_false(hsm_cert_bind(token, &key, &bind, &report, &err));
    assert_int_equal(err.code, E_CERT_REJECTED);
    assert_int_equal(certificates_of(token, &key), 1);
    X509_free(first);
    X509_free(second);
    X509_free(foreign);
    EVP_PKEY_free(public);
    EVP_PKEY_free(signer);
}

static void test_rsa_signature_schemes(void **state UNUSED)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    uint8_t digest[32] = {1};
    uint8_t out[512];
    size_t len = sizeof(out);

    make_key(token, "rsa:2048", "rsa", &key);
    struct hsm_sign how = {.scheme = HSM_SIGN_RSA_PKCS1};
    assert_true(hsm_sign(&key, &how, NULL, digest, sizeof(digest), out, &len, &err));
    assert_int_equal(len, 256);
    how = (struct hsm_sign){.scheme = HSM_SIGN_RSA_PSS,
                            .hash = CKM_SHA256,
                            .pss_mgf = CKG_MGF1_SHA256,
                            .pss_salt_len = 32};
    len = sizeof(out);
    assert_true(hsm_sign(&key, &how, NULL, digest, sizeof(digest), out, &len, &err));
    assert_int_equal(len, 256);
    assert_true(hsm_token_can(token, CKM_RSA_PKCS_PSS));
    assert_false(hsm_token_can(token, CKM_VENDOR_DEFINED));
}

static void test_failed_signature_leaves_the_session_pool_usable(void **state UNUSED)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    uint8_t digest[32] = {1};
    uint8_t out[512];
    size_t len = sizeof(out);

    make_key(token, "ec:P-256", "pool", &key);
    struct hsm_sign wrong = {.scheme = HSM_SIGN_RSA_PKCS1}; /* with an EC key */
    for (int i = 0; i < 20; i++) {
        assert_false(hsm_sign(&key, &wrong, NULL, digest, sizeof(digest), out, &len, &err));
    }
    assert_non_null(strstr(err.msg, "key 'pool' on token 'one'"));
    struct hsm_sign right = {.scheme = HSM_SIGN_ECDSA};
    assert_true(hsm_sign(&key, &right, NULL, digest, sizeof(digest), out, &len, &err));
}

/* The secret as the peer gets it, with the public half of the token key. */
static size_t software_secret(EVP_PKEY *peer, const struct hsm_key *key, uint8_t *out, size_t room)
{
    EVP_PKEY *public = NULL;
    struct err err = ERR_INIT;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(peer, NULL);
    size_t len = room;

    assert_true(hsm_key_public_evp(key, &public, &err));
    assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(ctx, public), 1);
    assert_int_equal(EVP_PKEY_derive(ctx, out, &len), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(public);
    return len;
}

static size_t point_of(EVP_PKEY *peer, uint8_t *out, size_t room)
{
    size_t len = 0;

    assert_int_equal(EVP_PKEY_get_octet_string_param(peer, "pub", out, room, &len), 1);
    return len;
}

static void agree_on(const char *curve, const char *label)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key key = {0};
    EVP_PKEY *peer = EVP_EC_gen(curve);
    struct err err = ERR_INIT;
    uint8_t point[HSM_POINT_MAX];
    uint8_t ours[66];
    uint8_t theirs[66];

    make_key_for(token, curve, label, HSM_USE_DERIVE, &key);
    size_t point_len = point_of(peer, point, sizeof(point));
    size_t len = software_secret(peer, &key, theirs, sizeof(theirs));
    if (!hsm_derive(&key, NULL, point, point_len, ours, len, &err)) {
        fail_msg("%s", err.msg);
    }
    assert_memory_equal(ours, theirs, len);
    EVP_PKEY_free(peer);
}

static void test_derived_secret_is_the_peers(void **state UNUSED)
{
    agree_on("P-256", "d-256");
    agree_on("P-384", "d-384");
    agree_on("P-521", "d-521");
}

static void test_point_that_is_none_gives_no_secret(void **state UNUSED)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key key = {0};
    struct err err = ERR_INIT;
    uint8_t point[65] = {4, 1};
    uint8_t out[32];

    make_key_for(token, "P-256", "d-wrong", HSM_USE_DERIVE, &key);
    assert_false(hsm_derive(&key, NULL, point, sizeof(point), out, sizeof(out), &err));
    assert_non_null(strstr(err.msg, "key 'd-wrong' on token 'one'"));
    assert_non_null(strstr(err.msg, "C_DeriveKey"));
}

static void test_signing_key_derives_and_decrypts_nothing(void **state UNUSED)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key ec = {0};
    AUTO(hsm_key) struct hsm_key rsa = {0};
    struct err err = ERR_INIT;
    uint8_t out[256];
    uint8_t in[256] = {1};
    size_t len = sizeof(out);
    const struct hsm_decrypt how = {.scheme = HSM_DECRYPT_RSA_PKCS1};

    make_key(token, "P-256", "s-ec", &ec);
    make_key(token, "rsa:2048", "s-rsa", &rsa);
    assert_false(hsm_derive(&ec, NULL, ec.public.point, ec.public.point_len, out, 32, &err));
    assert_int_equal(err.native, CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_false(hsm_decrypt(&rsa, &how, NULL, in, sizeof(in), out, &len, &err));
    assert_int_equal(err.native, CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void test_decrypts_what_the_public_half_encrypted(void **state UNUSED)
{
    struct hsm_token *token = open_token("one", true);
    AUTO(hsm_key) struct hsm_key key = {0};
    EVP_PKEY *public = NULL;
    struct err err = ERR_INIT;
    uint8_t in[256];
    uint8_t out[256];
    size_t in_len = sizeof(in);
    size_t len = sizeof(out);
    const struct hsm_decrypt how = {.scheme = HSM_DECRYPT_RSA_PKCS1};

    make_key_for(token, "rsa:2048", "decrypts", HSM_USE_DECRYPT, &key);
    assert_true(hsm_key_public_evp(&key, &public, &err));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(public, NULL);
    assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_encrypt(ctx, in, &in_len, (const unsigned char *)"text", 4), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(public);
    assert_true(hsm_decrypt(&key, &how, NULL, in, in_len, out, &len, &err));
    assert_int_equal(len, 4);
    assert_memory_equal(out, "text", 4);
}

static void write_text(const char *path, const char *text)
{
    struct err err = ERR_INIT;

    assert_true(file_write_atomic(path, text, strlen(text), 0600, &err));
}

static void initialise(const char *label)
{
    AUTO(hsm_uri) struct hsm_uri uri = {0};
    AUTO(secret) struct secret pin = SECRET_INIT;
    AUTO(secret) struct secret so_pin = SECRET_INIT;
    struct hsm_token *token = NULL;
    struct err err = ERR_INIT;

    assert_true(secret_set(&pin, pin_text, strlen(pin_text), &err));
    assert_true(secret_set(&so_pin, "87654321", 8, &err));
    struct hsm_target target = {.module_path = softhsm, .uri = &uri};
    struct hsm_token_init init = {.label = label, .so_pin = &so_pin, .user_pin = &pin};
    int64_t earlier_s = 0;
    if (!hsm_token_initialise(&target, &init, &token, &earlier_s, &err)) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(token->info.label, label);
}

/* The tokens are made in a child: the parent must not load a module before the cases fork. */
static void make_tokens(void)
{
    struct err err = ERR_INIT;
    char locks[96];

    (void)snprintf(locks, sizeof(locks), "%s/locks", fixture.dir);
    if (!hsm_process_configure(&(struct hsm_process){.lock_dir = locks}, &err)) {
        exit(1);
    }
    initialise("one");
    initialise("two");
}

static int set_up(void **state UNUSED)
{
    char text[512];
    char path[128];
    struct err err = ERR_INIT;

    if (access(softhsm, R_OK) != 0) {
        (void)fprintf(stderr, "skipped: SoftHSM2 is not installed\n");
        exit(77);
    }
    (void)snprintf(fixture.dir, sizeof(fixture.dir), "/tmp/p11e-hsm-XXXXXX");
    assert_non_null(mkdtemp(fixture.dir));
    (void)snprintf(fixture.log, sizeof(fixture.log), "%s/calls", fixture.dir);
    (void)snprintf(fixture.shim, sizeof(fixture.shim), "%s", P11SHIM_PATH);
    (void)snprintf(path, sizeof(path), "%s/tokens", fixture.dir);
    assert_true(file_make_private_dir(path, &err));
    (void)snprintf(text, sizeof(text), "directories.tokendir = %s/tokens\nlog.level = ERROR\n",
                   fixture.dir);
    (void)snprintf(path, sizeof(path), "%s/softhsm2.conf", fixture.dir);
    write_text(path, text);
    (void)setenv("SOFTHSM2_CONF", path, 1);
    assert_int_equal(in_child(make_tokens), 0);
    (void)setenv("P11SHIM_MODULE", softhsm, 1);
    (void)setenv("P11SHIM_LOG", fixture.log, 1);
    (void)snprintf(path, sizeof(path), "%s/locks", fixture.dir);
    assert_true(hsm_process_configure(&(struct hsm_process){.lock_dir = path}, &err));
    return 0;
}

static int tear_down(void **state UNUSED)
{
    char command[96];

    (void)snprintf(command, sizeof(command), "rm -rf %s", fixture.dir);
    return system(command);
}

int main(void)
{
    /* First the cases that fork: after them this process itself loads the module. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_module_that_we_initialised_is_finalised_once),
        cmocka_unit_test(test_module_of_somebody_else_is_never_finalised),
        cmocka_unit_test(test_missing_token_costs_nobody_his_session),
        cmocka_unit_test(test_forked_child_leaves_the_module_alone),
        cmocka_unit_test(test_lock_of_a_killed_parent_is_free),
        cmocka_unit_test(test_leaving_without_handlers_finalises_nothing),
        cmocka_unit_test(test_one_login_per_token_and_process),
        cmocka_unit_test(test_threads_sign_with_three_keys),
        cmocka_unit_test(test_bind_swaps_and_refuses_foreign_certificates),
        cmocka_unit_test(test_rsa_signature_schemes),
        cmocka_unit_test(test_failed_signature_leaves_the_session_pool_usable),
        cmocka_unit_test(test_derived_secret_is_the_peers),
        cmocka_unit_test(test_point_that_is_none_gives_no_secret),
        cmocka_unit_test(test_signing_key_derives_and_decrypts_nothing),
        cmocka_unit_test(test_decrypts_what_the_public_half_encrypted),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
