/* clang-format off */
/*
 * A PKCS#11 module that forwards to a real one and misbehaves on request. Unlike a replaced
 * function list it also stands under the calls that libp11 makes, and under any program that is
 * given a module path.
 *
 *   P11SHIM_MODULE     path of the real module
 *   P11SHIM_LOG        file that gets one line per call: "C_Sign 0x00000000"
 *   P11SHIM_RULES      what goes wrong: FUNCTION:N:ACTION[,...]; N is 1, 2, ..., or 2+ for that call
 *                      and all after it, or * for every call; FUNCTION may be * as well (the n-th
 *                      call of all); the first rule that matches is the one that counts
 *       fail=RV        return RV without calling the module
 *       failafter=RV   call it, then return RV all the same
 *       hang           never come back
 *       delay=MS       wait, then call
 *       kill           SIGKILL to this process before the call
 *       killafter      SIGKILL after the call, or where it would be if a rule lets it fail
 *   P11SHIM_TEMPLATE   TYPE=VALUE[,...] (hex): overwrites a one-byte attribute in the private
 *                      template of C_GenerateKeyPair, as a token would that ignores what it is
 *                      asked for
 *   P11SHIM_FLAGS      flags (hex) that C_GetTokenInfo reports in addition for initialised tokens
 *   P11SHIM_HIDE       TYPE[,...] (hex): mechanisms that the token does not have: it does not list
 *                      them, and nothing is signed or decrypted with them
 *   P11SHIM_BAD_TOKEN  LABEL: C_GetTokenInfo fails with CKR_DEVICE_ERROR for the token of that label
 *   P11SHIM_ATTRIBUTE  TYPE=RV (hex): C_GetAttributeValue fails with RV, as a whole, when that
 *                      attribute is among those it is asked for
 */
/* clang-format on */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RULES_MAX = 16, NAMES_MAX = 128 };

enum action { FAIL, FAIL_AFTER, HANG, DELAY, KILL, KILL_AFTER };

struct rule {
    char function[40];
    unsigned long nth; /* 0: every call */
    bool onwards;      /* and all after it */
    enum action action;
    unsigned long argument;
    unsigned long seen;
};

static struct {
    pthread_mutex_t lock;
    bool loaded;
    CK_FUNCTION_LIST *real;
    CK_FUNCTION_LIST list;
    int log_fd;
    struct rule rules[RULES_MAX];
    size_t rule_count;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER, .log_fd = -1};

static const struct {
    const char *word;
    enum action action;
} actions[] = {{"failafter=", FAIL_AFTER}, {"fail=", FAIL},           {"hang", HANG},
               {"delay=", DELAY},          {"killafter", KILL_AFTER}, {"kill", KILL}};

static void die(const char *what)
{
    (void)fprintf(stderr, "shim: %s\n", what);
    abort();
}

static void parse_rule(char *text)
{
    struct rule *rule = &shim.rules[shim.rule_count];
    char *save = NULL;
    char *function = strtok_r(text, ":", &save);
    char *nth = strtok_r(NULL, ":", &save);
    char *action = strtok_r(NULL, ":", &save);

    if (action == NULL || shim.rule_count == RULES_MAX) {
        die("a rule is FUNCTION:N:ACTION");
    }
    (void)snprintf(rule->function, sizeof(rule->function), "%s", function);
    rule->nth = strcmp(nth, "*") == 0 ? 0 : strtoul(nth, NULL, 10);
    rule->onwards = strchr(nth, '+') != NULL;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        size_t len = strlen(actions[i].word);
        if (strncmp(action, actions[i].word, len) == 0) {
            rule->action = actions[i].action;
            rule->argument = strtoul(action + len, NULL, 0);
            shim.rule_count++;
            return;
        }
    }
    die("there is no such action");
}

static void parse_rules(const char *text)
{
    char *copy = strdup(text);
    char *save = NULL;

    for (char *one = strtok_r(copy, ",", &save); one != NULL; one = strtok_r(NULL, ",", &save)) {
        parse_rule(one);
    }
    free(copy);
}

static void note(const char *function, CK_RV rv)
{
    char line[80];
    int len = snprintf(line, sizeof(line), "%s 0x%08lx\n", function, (unsigned long)rv);

    if (shim.log_fd >= 0 && write(shim.log_fd, line, (size_t)len) != len) {
        die("the log cannot be written");
    }
}

static struct rule *matching(const char *function, bool after)
{
    struct rule *hit = NULL;

    pthread_mutex_lock(&shim.lock);
    for (size_t i = 0; i < shim.rule_count && hit == NULL; i++) {
        struct rule *r = &shim.rules[i];
        bool late = r->action == FAIL_AFTER || r->action == KILL_AFTER;
        if (late != after ||
            (strcmp(r->function, "*") != 0 && strcmp(r->function, function) != 0)) {
            continue;
        }
        r->seen++;
        if (r->nth == 0 || r->seen == r->nth || (r->onwards && r->seen > r->nth)) {
            hit = r;
        }
    }
    pthread_mutex_unlock(&shim.lock);
    return hit;
}

static CK_RV after(const char *function, CK_RV rv)
{
    struct rule *rule = matching(function, true);

    if (rule != NULL && rule->action == KILL_AFTER) {
        (void)kill(getpid(), SIGKILL);
    }
    if (rule != NULL && rule->action == FAIL_AFTER) {
        rv = rule->argument;
    }
    note(function, rv);
    return rv;
}

/* Before the call: true if *rv is the answer and the module is not asked. */
static bool before(const char *function, CK_RV *rv)
{
    struct rule *rule = matching(function, false);
    struct timespec pause = {0, 0};

    if (rule == NULL) {
        return false;
    }
    switch (rule->action) {
    case FAIL:
        *rv = after(function, rule->argument);
        return true;
    case HANG:
        note(function, 0xffffffff);
        for (;;) {
            pause.tv_sec = 3600;
            (void)nanosleep(&pause, NULL);
        }
    case DELAY:
        pause.tv_sec = (time_t)(rule->argument / 1000);
        pause.tv_nsec = (long)(rule->argument % 1000) * 1000000;
        (void)nanosleep(&pause, NULL);
        return false;
    case KILL:
        (void)kill(getpid(), SIGKILL);
        return false;
    case FAIL_AFTER:
    case KILL_AFTER:
        break;
    }
    return false;
}

#define FORWARD(name, params, args)                                                                \
    static CK_RV shim_##name params                                                                \
    {                                                                                              \
        CK_RV rv = CKR_OK;                                                                         \
        return before(#name, &rv) ? rv : after(#name, shim.real->name args);                       \
    }

/* clang-format off */
FORWARD(C_Initialize, (void *args), (args))
FORWARD(C_Finalize, (void *reserved), (reserved))
FORWARD(C_GetInfo, (CK_INFO *info), (info))
FORWARD(C_GetSlotList, (CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *count), (present, list, count))
FORWARD(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO *info), (slot, info))
FORWARD(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info), (slot, type, info))
FORWARD(C_InitToken, (CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG len, CK_UTF8CHAR *label), (slot, pin, len, label))
FORWARD(C_InitPIN, (CK_SESSION_HANDLE s, CK_UTF8CHAR *pin, CK_ULONG len), (s, pin, len))
FORWARD(C_SetPIN, (CK_SESSION_HANDLE s, CK_UTF8CHAR *a, CK_ULONG al, CK_UTF8CHAR *b, CK_ULONG bl), (s, a, al, b, bl))
FORWARD(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify, CK_SESSION_HANDLE *s), (slot, flags, app, notify, s))
FORWARD(C_CloseSession, (CK_SESSION_HANDLE s), (s))
FORWARD(C_CloseAllSessions, (CK_SLOT_ID slot), (slot))
FORWARD(C_GetSessionInfo, (CK_SESSION_HANDLE s, CK_SESSION_INFO *info), (s, info))
FORWARD(C_Login, (CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len), (s, user, pin, len))
FORWARD(C_Logout, (CK_SESSION_HANDLE s), (s))
FORWARD(C_CreateObject, (CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o), (s, t, n, o))
FORWARD(C_CopyObject, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE f, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o), (s, f, t, n, o))
FORWARD(C_DestroyObject, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o), (s, o))
FORWARD(C_SetAttributeValue, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n), (s, o, t, n))
FORWARD(C_FindObjectsInit, (CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n), (s, t, n))
FORWARD(C_FindObjects, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *o, CK_ULONG max, CK_ULONG *n), (s, o, max, n))
FORWARD(C_FindObjectsFinal, (CK_SESSION_HANDLE s), (s))
FORWARD(C_Sign, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_SignUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n), (s, in, n))
FORWARD(C_SignFinal, (CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG *len), (s, out, len))
FORWARD(C_Decrypt, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_DeriveKey, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o), (s, m, k, t, n, o))
FORWARD(C_GenerateRandom, (CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG n), (s, out, n))
FORWARD(C_GetOperationState, (CK_SESSION_HANDLE s, CK_BYTE *state, CK_ULONG *len), (s, state, len))
FORWARD(C_SetOperationState, (CK_SESSION_HANDLE s, CK_BYTE *state, CK_ULONG len, CK_OBJECT_HANDLE e, CK_OBJECT_HANDLE a), (s, state, len, e, a))
FORWARD(C_GetObjectSize, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ULONG *size), (s, o, size))
FORWARD(C_EncryptInit, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k), (s, m, k))
FORWARD(C_Encrypt, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_EncryptUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_EncryptFinal, (CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG *len), (s, out, len))
FORWARD(C_DecryptUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_DecryptFinal, (CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG *len), (s, out, len))
FORWARD(C_DigestInit, (CK_SESSION_HANDLE s, CK_MECHANISM *m), (s, m))
FORWARD(C_Digest, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_DigestUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n), (s, in, n))
FORWARD(C_DigestKey, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE k), (s, k))
FORWARD(C_DigestFinal, (CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG *len), (s, out, len))
FORWARD(C_SignRecoverInit, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k), (s, m, k))
FORWARD(C_SignRecover, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_VerifyInit, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k), (s, m, k))
FORWARD(C_Verify, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *sig, CK_ULONG len), (s, in, n, sig, len))
FORWARD(C_VerifyUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n), (s, in, n))
FORWARD(C_VerifyFinal, (CK_SESSION_HANDLE s, CK_BYTE *sig, CK_ULONG len), (s, sig, len))
FORWARD(C_VerifyRecoverInit, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k), (s, m, k))
FORWARD(C_VerifyRecover, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_DigestEncryptUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_DecryptDigestUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_SignEncryptUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_DecryptVerifyUpdate, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len), (s, in, n, out, len))
FORWARD(C_GenerateKey, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o), (s, m, t, n, o))
FORWARD(C_WrapKey, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE w, CK_OBJECT_HANDLE k, CK_BYTE *out, CK_ULONG *len), (s, m, w, k, out, len))
FORWARD(C_UnwrapKey, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE w, CK_BYTE *in, CK_ULONG len, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o), (s, m, w, in, len, t, n, o))
FORWARD(C_SeedRandom, (CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n), (s, in, n))
FORWARD(C_GetFunctionStatus, (CK_SESSION_HANDLE s), (s))
FORWARD(C_CancelFunction, (CK_SESSION_HANDLE s), (s))
FORWARD(C_WaitForSlotEvent, (CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved), (flags, slot, reserved))
/* clang-format on */

static bool is_hidden(CK_MECHANISM_TYPE type)
{
    const char *text = getenv("P11SHIM_HIDE");

    while (text != NULL && *text != '\0') {
        char *end = NULL;
        if (strtoul(text, &end, 16) == type) {
            return true;
        }
        text = *end == ',' ? end + 1 : NULL;
    }
    return false;
}

/* The count is not changed where only that is asked for: fewer may come. */
static CK_RV shim_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    CK_RV rv = CKR_OK;
    CK_ULONG kept = 0;

    if (before("C_GetMechanismList", &rv)) {
        return rv;
    }
    rv = shim.real->C_GetMechanismList(slot, list, count);
    if (rv == CKR_OK && list != NULL) {
        for (CK_ULONG i = 0; i < *count; i++) {
            if (!is_hidden(list[i])) {
                list[kept++] = list[i];
            }
        }
        *count = kept;
    }
    return after("C_GetMechanismList", rv);
}

static CK_RV shim_C_SignInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    CK_RV rv = CKR_OK;

    if (before("C_SignInit", &rv)) {
        return rv;
    }
    return after("C_SignInit",
                 is_hidden(m->mechanism) ? CKR_MECHANISM_INVALID : shim.real->C_SignInit(s, m, k));
}

static CK_RV shim_C_DecryptInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    CK_RV rv = CKR_OK;

    if (before("C_DecryptInit", &rv)) {
        return rv;
    }
    return after("C_DecryptInit", is_hidden(m->mechanism) ? CKR_MECHANISM_INVALID
                                                          : shim.real->C_DecryptInit(s, m, k));
}

static CK_RV shim_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    const char *flags = getenv("P11SHIM_FLAGS");
    const char *bad = getenv("P11SHIM_BAD_TOKEN");
    CK_RV rv = CKR_OK;

    if (before("C_GetTokenInfo", &rv)) {
        return rv;
    }
    rv = shim.real->C_GetTokenInfo(slot, info);
    if (rv == CKR_OK && bad != NULL && strncmp((char *)info->label, bad, strlen(bad)) == 0) {
        return after("C_GetTokenInfo", CKR_DEVICE_ERROR);
    }
    if (rv == CKR_OK && flags != NULL && (info->flags & CKF_TOKEN_INITIALIZED) != 0) {
        info->flags |= strtoul(flags, NULL, 16);
    }
    return after("C_GetTokenInfo", rv);
}

/* True if P11SHIM_ATTRIBUTE names one of these; *rv is then the answer. */
static bool is_refused(const CK_ATTRIBUTE *template, CK_ULONG count, CK_RV *rv)
{
    const char *text = getenv("P11SHIM_ATTRIBUTE");
    char *end = NULL;
    unsigned long type = text != NULL ? strtoul(text, &end, 16) : 0;

    if (text == NULL || *end != '=') {
        return false;
    }
    *rv = strtoul(end + 1, NULL, 16);
    for (CK_ULONG i = 0; i < count; i++) {
        if (template[i].type == type) {
            return true;
        }
    }
    return false;
}

static CK_RV shim_C_GetAttributeValue(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t,
                                      CK_ULONG n)
{
    CK_RV rv = CKR_OK;

    if (before("C_GetAttributeValue", &rv)) {
        return rv;
    }
    return after("C_GetAttributeValue",
                 is_refused(t, n, &rv) ? rv : shim.real->C_GetAttributeValue(s, o, t, n));
}

/* Replaces one-byte values as P11SHIM_TEMPLATE says. The caller's bytes stay as they are. */
static void alter(CK_ATTRIBUTE *template, CK_ULONG count)
{
    static CK_BBOOL values[2] = {0, 1};
    const char *text = getenv("P11SHIM_TEMPLATE");

    while (text != NULL && *text != '\0') {
        char *end = NULL;
        unsigned long type = strtoul(text, &end, 16);
        unsigned long value = *end == '=' ? strtoul(end + 1, &end, 16) : 0;
        for (CK_ULONG i = 0; i < count; i++) {
            if (template[i].type == type && template[i].ulValueLen == 1) {
                template[i].pValue = &values[value & 1];
            }
        }
        text = *end == ',' ? end + 1 : NULL;
    }
}

static CK_RV shim_C_GenerateKeyPair(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *pub,
                                    CK_ULONG pub_n, CK_ATTRIBUTE *priv, CK_ULONG priv_n,
                                    CK_OBJECT_HANDLE *pub_o, CK_OBJECT_HANDLE *priv_o)
{
    CK_ATTRIBUTE altered[64];
    CK_RV rv = CKR_OK;

    if (before("C_GenerateKeyPair", &rv)) {
        return rv;
    }
    if (priv_n > 64) {
        die("that template is too long");
    }
    memcpy(altered, priv, priv_n * sizeof(*priv));
    alter(altered, priv_n);
    return after("C_GenerateKeyPair",
                 shim.real->C_GenerateKeyPair(s, m, pub, pub_n, altered, priv_n, pub_o, priv_o));
}

static void load(void)
{
    const char *path = getenv("P11SHIM_MODULE");
    const char *log = getenv("P11SHIM_LOG");
    const char *rules = getenv("P11SHIM_RULES");
    CK_C_GetFunctionList get = NULL;
    void *handle = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;

    if (handle != NULL) {
        *(void **)(&get) = dlsym(handle, "C_GetFunctionList");
    }
    if (get == NULL || get(&shim.real) != CKR_OK) {
        die("P11SHIM_MODULE does not name a PKCS#11 module");
    }
    shim.list = *shim.real;
    if (log != NULL) {
        shim.log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (rules != NULL) {
        parse_rules(rules);
    }
#define USE(name) shim.list.name = shim_##name
    USE(C_Initialize), USE(C_Finalize), USE(C_GetInfo), USE(C_GetSlotList), USE(C_GetSlotInfo);
    USE(C_GetTokenInfo), USE(C_GetMechanismList), USE(C_GetMechanismInfo), USE(C_InitToken);
    USE(C_InitPIN), USE(C_SetPIN), USE(C_OpenSession), USE(C_CloseSession);
    USE(C_CloseAllSessions), USE(C_GetSessionInfo), USE(C_Login), USE(C_Logout);
    USE(C_CreateObject), USE(C_CopyObject), USE(C_DestroyObject), USE(C_GetAttributeValue);
    USE(C_SetAttributeValue), USE(C_FindObjectsInit), USE(C_FindObjects), USE(C_FindObjectsFinal);
    USE(C_Decrypt), USE(C_DeriveKey);
    USE(C_SignInit), USE(C_Sign), USE(C_SignUpdate), USE(C_SignFinal);
    USE(C_DecryptInit), USE(C_GenerateRandom), USE(C_GenerateKeyPair);
    USE(C_GetOperationState), USE(C_SetOperationState), USE(C_GetObjectSize), USE(C_EncryptInit);
    USE(C_Encrypt), USE(C_EncryptUpdate), USE(C_EncryptFinal), USE(C_DecryptUpdate);
    USE(C_DecryptFinal), USE(C_DigestInit), USE(C_Digest), USE(C_DigestUpdate), USE(C_DigestKey);
    USE(C_DigestFinal), USE(C_SignRecoverInit), USE(C_SignRecover), USE(C_VerifyInit);
    USE(C_Verify), USE(C_VerifyUpdate), USE(C_VerifyFinal), USE(C_VerifyRecoverInit);
    USE(C_VerifyRecover), USE(C_DigestEncryptUpdate), USE(C_DecryptDigestUpdate);
    USE(C_SignEncryptUpdate), USE(C_DecryptVerifyUpdate), USE(C_GenerateKey), USE(C_WrapKey);
    USE(C_UnwrapKey), USE(C_SeedRandom), USE(C_GetFunctionStatus), USE(C_CancelFunction);
    USE(C_WaitForSlotEvent);
#undef USE
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    pthread_mutex_lock(&shim.lock);
    if (!shim.loaded) {
        load();
        shim.loaded = true;
    }
    pthread_mutex_unlock(&shim.lock);
    *list = &shim.list;
    return CKR_OK;
}
