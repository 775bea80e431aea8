#include "hsm/slot.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/module_impl.h"
#include "hsm/revive.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Pauses before looking again for a token that was not there. */
static const int64_t retry_pauses_ms[] = {50, 150, 400};

enum { CANDIDATES_SHOWN = 8, MECHANISMS_MAX = 4096 };

const char *hsm_token_name(const struct hsm_token_info *info)
{
    static _Thread_local char name[96];
    const char *label = info->initialized ? info->label : "(not initialised)";

    (void)snprintf(name, sizeof(name), "token '%s' (serial %s)", label,
                   info->serial[0] != '\0' ? info->serial : "none");
    return name;
}

/* Copies a string of libp11 (padding already trimmed) without anything that could upset a terminal.
 */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;

    len = len < size ? len : size - 1;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        out[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    out[len] = '\0';
}

static void info_from_slot(PKCS11_SLOT *slot, struct hsm_token_info *info)
{
    const PKCS11_TOKEN *t = slot->token;

    memset(info, 0, sizeof(*info));
    info->slot_id = PKCS11_get_slotid_from_slot(slot);
    copy_text(info->label, sizeof(info->label), t->label);
    copy_text(info->manufacturer, sizeof(info->manufacturer), t->manufacturer);
    copy_text(info->model, sizeof(info->model), t->model);
    copy_text(info->serial, sizeof(info->serial), t->serialnr);
    copy_text(info->slot_description, sizeof(info->slot_description), slot->description);
    copy_text(info->slot_manufacturer, sizeof(info->slot_manufacturer), slot->manufacturer);
    info->initialized = t->initialized != 0;
    info->login_required = t->loginRequired != 0;
    info->pin_pad = t->secureLogin != 0;
    info->write_protected = t->readOnly != 0;
    info->user_pin_set = t->userPinSet != 0;
    info->user_pin_low = t->userPinCountLow != 0;
    info->user_pin_final = t->userPinFinalTry != 0;
    info->user_pin_locked = t->userPinLocked != 0;
    info->user_pin_to_be_changed = t->userPinToBeChanged != 0;
    info->so_pin_low = t->soPinCountLow != 0;
    info->so_pin_final = t->soPinFinalTry != 0;
    info->so_pin_locked = t->soPinLocked != 0;
    info->so_pin_to_be_changed = t->soPinToBeChanged != 0;
}

/* The return value that libp11 left in OpenSSL's queue; CKR_OK if it left none. */
static CK_RV libp11_rv(void)
{
    return (CK_RV)ERR_GET_REASON(ERR_peek_last_error());
}

void hsm_token_init_locks(struct hsm_token *token)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&token->lock, NULL);
    (void)pthread_mutex_init(&token->anchor_lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&token->session_free, &attr);
    (void)pthread_condattr_destroy(&attr);
}

bool hsm_token_init_shared(struct hsm_token *token)
{
    void *page = mmap(NULL, sizeof(*token->pin_refused), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED) {
        return false;
    }
    token->pin_refused = page; /* zeroed; it lives as long as the process */
    return true;
}

/* A field of C_GetTokenInfo in the form of copy_text(): without its padding. */
static void field_text(const CK_UTF8CHAR *field, size_t field_len, char *out)
{
    size_t len = field_len;

    while (len > 0 && field[len - 1] == ' ') {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = field[i] < 0x20 || field[i] == 0x7f ? '?' : (char)field[i];
    }
    out[len] = '\0';
}

bool hsm_token_is(const struct hsm_token *token, const CK_TOKEN_INFO *info)
{
    char label[sizeof(info->label) + 1];
    char serial[sizeof(info->serialNumber) + 1];

    field_text(info->label, sizeof(info->label), label);
    field_text(info->serialNumber, sizeof(info->serialNumber), serial);
    return strcmp(serial, token->info.serial) == 0 &&
           (!token->info.initialized || strcmp(label, token->info.label) == 0);
}

static bool same_token(const struct hsm_token_info *a, const struct hsm_token_info *b)
{
    return strcmp(a->serial, b->serial) == 0 && strcmp(a->label, b->label) == 0 &&
           strcmp(a->model, b->model) == 0 && strcmp(a->manufacturer, b->manufacturer) == 0;
}

/* In its old slot, or else one that has moved: slots are numbered anew when a module starts again.
 */
static struct hsm_token *find_known(struct hsm_module *module, const struct hsm_token_info *info)
{
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (t->info.slot_id == info->slot_id && strcmp(t->info.serial, info->serial) == 0) {
            return t;
        }
    }
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (!t->present && info->initialized && same_token(&t->info, info)) {
            return t;
        }
    }
    return NULL;
}

static bool remember(struct hsm_module *module, const struct hsm_token_info *info, struct err *err)
{
    struct hsm_token *token = find_known(module, info);

    if (token == NULL) {
        token = calloc(1, sizeof(*token));
        if (token == NULL) {
            return err_nomem(err);
        }
        token->module = module;
        hsm_token_init_locks(token);
        if (!hsm_token_init_shared(token)) {
            free(token);
            return err_nomem(err);
        }
        struct hsm_token **end = &module->tokens; /* listings keep the module's order of slots */
        while (*end != NULL) {
            end = &(*end)->next;
        }
        *end = token;
    }
    token->info = *info;
    token->present = true;
    return true;
}

/* Frees libp11's lists, and with them the PINs that it keeps. That closes every session on those
 * slots, also other people's, so: only while nobody has one. */
static void release_slots(struct hsm_module *module)
{
    while (module->slots != NULL) {
        struct hsm_slot_list *list = module->slots;
        ERR_set_mark();
        PKCS11_release_all_slots(module->libp11, list->slots, list->count);
        ERR_pop_to_mark();
        module->slots = list->older;
        free(list);
    }
}

/*
 * Asks libp11 for the slots, as a new list each time: PKCS11_update_slots(), which would reuse the
 * old one, crashes in every call of libp11 0.4.12 (Debian 12).
 */
static bool enumerate(struct hsm_module *module, const struct hsm_slot_list **fresh,
                      struct err *err)
{
    struct hsm_slot_list *list = calloc(1, sizeof(*list));
    struct deadline_call call;

    if (list == NULL) {
        return err_nomem(err);
    }
    if (module->slots != NULL && hsm_module_is_idle(module)) {
        release_slots(module);
    }
    ERR_set_mark();
    cryptoki_enter(&module->ck, CALL_INIT, "libp11 slot list", &call);
    int rc = PKCS11_enumerate_slots(module->libp11, &list->slots, &list->count);
    CK_RV rv = rc != 0 ? libp11_rv() : CKR_OK;
    cryptoki_leave(&module->ck, &call, rv);
    ERR_pop_to_mark();
    if (rc != 0) {
        /* libp11 reports a module without slots as a failure without a reason. */
        free(list);
        return rv == CKR_OK || ckr_set(err, rv, "listing the slots");
    }
    list->older = module->slots;
    module->slots = list;
    *fresh = list;
    return true;
}

static bool refresh(struct hsm_module *module, struct err *err)
{
    const struct hsm_slot_list *list = NULL;

    if (!enumerate(module, &list, err)) {
        return err_wrap(err, "PKCS#11 module %s", module->path);
    }
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        t->present = false;
    }
    for (unsigned i = 0; list != NULL && i < list->count; i++) {
        struct hsm_token_info info;
        if (list->slots[i].token == NULL) {
            continue;
        }
        info_from_slot(&list->slots[i], &info);
        if (!remember(module, &info, err)) {
            return false;
        }
    }
    return true;
}

bool hsm_module_read_slots(struct hsm_module *module, struct err *err)
{
    return refresh(module, err);
}

static bool matches(const struct hsm_uri *uri, const struct hsm_token_info *info)
{
    struct hsm_uri_token token = {
        .label = info->label,
        .manufacturer = info->manufacturer,
        .serial = info->serial,
        .model = info->model,
        .slot_manufacturer = info->slot_manufacturer,
        .slot_description = info->slot_description,
        .slot_id = info->slot_id,
    };

    return hsm_uri_matches_token(uri, &token);
}

bool hsm_token_info_matches(const struct hsm_token_info *info, const struct hsm_uri *uri)
{
    return matches(uri, info);
}

bool hsm_token_matches(const struct hsm_token *token, const struct hsm_uri *uri)
{
    return matches(uri, &token->info);
}

/* "2.6" or, as RFC 7512 section 2.3 allows, "2" for 2.0. */
static bool has_version(const struct hsm_module *module, const char *wanted)
{
    CK_INFO info;
    char version[16];

    if (ck_get_info(&module->ck, &info) != CKR_OK) {
        return false;
    }
    (void)snprintf(version, sizeof(version), "%u.%u", info.libraryVersion.major,
                   info.libraryVersion.minor);
    size_t whole = strcspn(version, ".");
    return str_equal(version, wanted) ||
           (str_equal(version + whole, ".0") && strncmp(version, wanted, whole) == 0 &&
            wanted[whole] == '\0');
}

static bool matches_library(const struct hsm_uri *uri, const struct hsm_module *module)
{
    const char *maker = module->libp11->manufacturer;
    const char *what = module->libp11->description;

    return (uri->library_manufacturer == NULL || str_equal(uri->library_manufacturer, maker)) &&
           (uri->library_description == NULL || str_equal(uri->library_description, what)) &&
           (uri->library_version == NULL || has_version(module, uri->library_version));
}

/* Appends the tokens that pass the filter, for an error message. */
static void add_names(struct buf *out, const struct hsm_module *module, const struct hsm_uri *uri)
{
    unsigned shown = 0;

    for (const struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (!t->present || !t->info.initialized || (uri != NULL && !matches(uri, &t->info))) {
            continue;
        }
        if (shown++ == CANDIDATES_SHOWN) {
            buf_add_str(out, ", ...");
            return;
        }
        buf_addf(out, "%s%s", shown > 1 ? ", " : "", hsm_token_name(&t->info));
    }
    if (shown == 0) {
        buf_add_str(out, "none");
    }
}

static bool none_matches(const struct hsm_module *module, const struct hsm_uri *uri,
                         struct err *err)
{
    AUTO(buf) struct buf there = BUF_INIT(1024);
    AUTO(buf) struct buf wanted = BUF_INIT(HSM_URI_MAX);

    add_names(&there, module, NULL);
    hsm_uri_format(uri, &wanted);
    return err_set(err, E_TOKEN_MISSING, "no token matches %s; initialised tokens of %s: %s",
                   buf_str(&wanted), module->path, buf_str(&there));
}

static bool several_match(const struct hsm_module *module, const struct hsm_uri *uri,
                          struct err *err)
{
    AUTO(buf) struct buf names = BUF_INIT(1024);

    add_names(&names, module, uri);
    return err_set(err, E_OBJECT_AMBIGUOUS,
                   "several tokens match: %s; name one with token= or serial=", buf_str(&names));
}

/* Counts the initialised tokens that match; *out is the last of them. */
static unsigned count_matches(const struct hsm_module *module, const struct hsm_uri *uri,
                              struct hsm_token **out)
{
    unsigned count = 0;

    if (!matches_library(uri, module)) {
        return 0;
    }
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (t->present && t->info.initialized && matches(uri, &t->info)) {
            *out = t;
            count++;
        }
    }
    return count;
}

static bool look(struct hsm_module *module, const struct hsm_uri *uri, struct hsm_token **out,
                 unsigned *count, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;

    if (!hsm_module_lock(module, &lock, err)) {
        return false;
    }
    pthread_mutex_lock(&module->lock);
    bool ok = refresh(module, err);
    *count = ok ? count_matches(module, uri, out) : 0;
    pthread_mutex_unlock(&module->lock);
    return ok;
}

static bool find_token(struct hsm_module *module, const struct hsm_uri *uri, struct hsm_token **out,
                       struct err *err)
{
    struct clock clock = clock_system(NULL);
    struct hsm_token *token = NULL;
    unsigned count = 0;

    /* A token that was found before needs no second enumeration. */
    pthread_mutex_lock(&module->lock);
    count = count_matches(module, uri, &token);
    pthread_mutex_unlock(&module->lock);
    for (size_t i = 0; count == 0 && i <= ARRAY_LEN(retry_pauses_ms); i++) {
        if (i > 0) {
            (void)clock_sleep_ms(&clock, retry_pauses_ms[i - 1]);
            if (!hsm_module_restart(module, err)) {
                return false;
            }
        }
        if (!look(module, uri, &token, &count, err)) {
            return false;
        }
    }
    pthread_mutex_lock(&module->lock);
    module->searched = true;
    pthread_mutex_unlock(&module->lock);
    if (count == 1) {
        *out = token;
        return true;
    }
    return count == 0 ? none_matches(module, uri, err) : several_match(module, uri, err);
}

/* module-name (RFC 7512 section 2.3): the file's name, with or without "lib" and ".so". */
static bool is_called(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    size_t len = strlen(name);

    if (str_equal(base, name)) {
        return true;
    }
    if (str_starts_with(base, "lib") && !str_starts_with(name, "lib")) {
        base += strlen("lib");
    }
    return strncmp(base, name, len) == 0 &&
           (base[len] == '\0' || str_starts_with(base + len, ".so"));
}

bool hsm_target_module(const struct hsm_target *target, struct hsm_module **out, struct err *err)
{
    const char *path = target->module_path != NULL ? target->module_path
                       : target->uri != NULL       ? target->uri->module_path
                                                   : NULL;

    if (path == NULL) {
        return err_set(err, E_CONFIG,
                       "no PKCS#11 module is named: neither in the configuration ('module' in "
                       "p11enroll.conf, 'module-path' in openssl.cnf), nor by --module, nor by "
                       "module-path= in the URI");
    }
    if (target->uri != NULL && target->uri->module_name != NULL &&
        !is_called(path, target->uri->module_name)) {
        return err_set(err, E_TOKEN_MISSING,
                       "the URI wants a module called '%s', and %s is another",
                       target->uri->module_name, path);
    }
    if (!hsm_module_open(path, target->init_args, out, err)) {
        return false;
    }
    hsm_module_add_quirks(*out, target->quirks);
    return true;
}

bool hsm_token_open(const struct hsm_target *target, struct hsm_token **out, struct err *err)
{
    struct hsm_module *module = NULL;

    return hsm_target_module(target, &module, err) && find_token(module, target->uri, out, err);
}

bool hsm_module_visit_tokens(struct hsm_module *module, hsm_token_visit_fn *visit, void *ctx,
                             struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;

    if (!hsm_module_lock(module, &lock, err)) {
        return false;
    }
    pthread_mutex_lock(&module->lock);
    bool ok = refresh(module, err);
    pthread_mutex_unlock(&module->lock);
    hsm_lock_release(&lock);
    for (struct hsm_token *t = module->tokens; ok && t != NULL; t = t->next) {
        if (t->present && !visit(ctx, t)) {
            break;
        }
    }
    return ok;
}

static long known(CK_ULONG value)
{
    return value == CK_UNAVAILABLE_INFORMATION || value > (CK_ULONG)INT32_MAX ? -1 : (long)value;
}

static bool read_token_info(const struct hsm_token *token, CK_TOKEN_INFO *info, struct err *err)
{
    CK_RV rv = ck_get_token_info(&token->module->ck, token->info.slot_id, info);

    if (rv != CKR_OK) {
        (void)ckr_set(err, rv, "C_GetTokenInfo");
        return err_wrap(err, "%s", hsm_token_name(&token->info));
    }
    return true;
}

bool hsm_token_limits(const struct hsm_token *token, struct hsm_token_limits *out, struct err *err)
{
    CK_TOKEN_INFO info;

    if (!read_token_info(token, &info, err)) {
        return false;
    }
    *out = (struct hsm_token_limits){
        .hardware = info.hardwareVersion,
        .firmware = info.firmwareVersion,
        .min_pin = info.ulMinPinLen,
        .max_pin = info.ulMaxPinLen,
        /* CK_EFFECTIVELY_INFINITE is 0: no limit that the token knows of */
        .max_sessions = info.ulMaxSessionCount == 0 ? -1 : known(info.ulMaxSessionCount),
        .open_sessions = known(info.ulSessionCount),
        .total_public_memory = known(info.ulTotalPublicMemory),
        .free_public_memory = known(info.ulFreePublicMemory),
    };
    return true;
}

bool hsm_token_refresh(struct hsm_token *token, struct err *err)
{
    CK_TOKEN_INFO info;

    unsigned epoch = hsm_token_sessions_epoch(token);
    CK_RV rv = ck_get_token_info(&token->module->ck, token->info.slot_id, &info);
    if (rv != CKR_OK) {
        (void)hsm_token_note(token, epoch, rv);
        (void)ckr_set(err, rv, "C_GetTokenInfo");
        return err_wrap(err, "%s", hsm_token_name(&token->info));
    }
    if (!hsm_token_is(token, &info)) {
        return err_set(err, E_TOKEN_MISSING, "%s is not in its slot any more, another one is",
                       hsm_token_name(&token->info));
    }
    pthread_mutex_lock(&token->lock);
    struct hsm_token_info *t = &token->info;
    t->initialized = (info.flags & CKF_TOKEN_INITIALIZED) != 0;
    t->login_required = (info.flags & CKF_LOGIN_REQUIRED) != 0;
    t->pin_pad = (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
    t->write_protected = (info.flags & CKF_WRITE_PROTECTED) != 0;
    t->user_pin_set = (info.flags & CKF_USER_PIN_INITIALIZED) != 0;
    t->user_pin_low = (info.flags & CKF_USER_PIN_COUNT_LOW) != 0;
    t->user_pin_final = (info.flags & CKF_USER_PIN_FINAL_TRY) != 0;
    t->user_pin_locked = (info.flags & CKF_USER_PIN_LOCKED) != 0;
    t->so_pin_final = (info.flags & CKF_SO_PIN_FINAL_TRY) != 0;
    t->so_pin_locked = (info.flags & CKF_SO_PIN_LOCKED) != 0;
    pthread_mutex_unlock(&token->lock);
    return true;
}

bool hsm_token_mechanisms(const struct hsm_token *token, CK_MECHANISM_TYPE **out, size_t *count,
                          struct err *err)
{
    const struct cryptoki *ck = &token->module->ck;
    CK_ULONG n = 0;
    CK_RV rv = ck_get_mechanism_list(ck, token->info.slot_id, NULL, &n);
    CK_MECHANISM_TYPE *list = NULL;

    if (rv == CKR_OK && n > MECHANISMS_MAX) {
        return err_set(err, E_TOKEN, "%s claims to have %lu mechanisms",
                       hsm_token_name(&token->info), (unsigned long)n);
    }
    if (rv == CKR_OK && n > 0) {
        /* One more than there are: p11-kit's client reads it before 0.25 (p11-kit#456). */
        list = calloc(n + 1, sizeof(*list));
        if (list == NULL) {
            return err_nomem(err);
        }
        rv = ck_get_mechanism_list(ck, token->info.slot_id, list, &n);
    }
    if (rv != CKR_OK) {
        free(list);
        (void)ckr_set(err, rv, "C_GetMechanismList");
        return err_wrap(err, "%s", hsm_token_name(&token->info));
    }
    *out = list;
    *count = n;
    return true;
}

bool hsm_token_uri(const struct hsm_token_info *info, struct hsm_uri *uri, struct err *err)
{
    memset(uri, 0, sizeof(*uri));
    return hsm_uri_set(&uri->token, info->label, err) &&
           hsm_uri_set(&uri->manufacturer, info->manufacturer, err) &&
           hsm_uri_set(&uri->model, info->model, err) &&
           hsm_uri_set(&uri->serial, info->serial, err);
}

/* Administration */

static PKCS11_SLOT *libp11_slot(const struct hsm_module *module, CK_SLOT_ID id)
{
    const struct hsm_slot_list *list = module->slots;

    for (unsigned i = 0; list != NULL && i < list->count; i++) {
        if (PKCS11_get_slotid_from_slot(&list->slots[i]) == id) {
            return &list->slots[i];
        }
    }
    return NULL;
}

/* Runs one libp11 call; rc 0 is success. Turns its error into ours. */
#define LIBP11(module, kind, what, err, expression)                                                \
    __extension__({                                                                                \
        struct deadline_call call_;                                                                \
        ERR_set_mark();                                                                            \
        cryptoki_enter(&(module)->ck, (kind), (what), &call_);                                     \
        int rc_ = (expression);                                                                    \
        CK_RV rv_ = rc_ != 0 ? libp11_rv() : CKR_OK;                                               \
        if (rc_ != 0 && rv_ == CKR_OK) {                                                           \
            rv_ = CKR_GENERAL_ERROR;                                                               \
        }                                                                                          \
        cryptoki_leave(&(module)->ck, &call_, rv_);                                                \
        ERR_pop_to_mark();                                                                         \
        rc_ == 0 || ckr_set((err), rv_, (what));                                                   \
    })

/* The one token to initialise: named by the URI, or the first that is blank. */
static bool choose_blank(struct hsm_module *module, const struct hsm_uri *uri, bool erase,
                         struct hsm_token **out, struct err *err)
{
    struct hsm_token *chosen = NULL;
    unsigned count = 0;

    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (!t->present || !matches(uri, &t->info) ||
            (!hsm_uri_names_token(uri) && t->info.initialized)) {
            continue;
        }
        /* Of several blank slots any will do; of several named tokens, none. */
        if (chosen == NULL || t->info.slot_id < chosen->info.slot_id) {
            chosen = t;
        }
        count++;
    }
    if (chosen == NULL) {
        return hsm_uri_names_token(uri) ? none_matches(module, uri, err)
                                        : err_set(err, E_TOKEN_MISSING,
                                                  "%s has no token that is not initialised yet; to "
                                                  "erase one, name it with token= or serial=",
                                                  module->path);
    }
    if (hsm_uri_names_token(uri) && count > 1) {
        return several_match(module, uri, err);
    }
    if (chosen->info.initialized && !erase) {
        return err_set(err, E_OBJECT_EXISTS,
                       "%s is initialised already; initialising destroys all its keys and needs "
                       "--erase",
                       hsm_token_name(&chosen->info));
    }
    *out = chosen;
    return true;
}

static bool label_is_free(const struct hsm_module *module, const char *label,
                          const struct hsm_token *except, struct err *err)
{
    for (const struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        if (t != except && t->present && t->info.initialized && str_equal(t->info.label, label)) {
            return err_set(err, E_OBJECT_EXISTS,
                           "%s exists already; two tokens with one label "
                           "could not be told apart",
                           hsm_token_name(&t->info));
        }
    }
    return true;
}

static bool so_may_try(const struct hsm_token_info *info, struct err *err)
{
    if (!info->initialized) {
        return true; /* the PIN becomes the SO PIN; SoftHSM calls that state "locked" */
    }
    if (info->so_pin_locked) {
        return err_set(err, E_PIN_LOCKED, "the security officer's PIN of %s is locked",
                       hsm_token_name(info));
    }
    if (info->so_pin_final) {
        return err_set(err, E_PIN_LOCKED,
                       "%s has one try left for the security officer's PIN; it is not used up here",
                       hsm_token_name(info));
    }
    return true;
}

/* A label that the token would give back in another form could not be found again. */
static bool check_label(const char *label, struct err *err)
{
    size_t len = strlen(label);

    if (len == 0 || len > 32) {
        return err_set(err, E_USAGE, "a token label has 1 to 32 bytes");
    }
    if (label[len - 1] == ' ' || !str_is_utf8((const uint8_t *)label, len)) {
        return err_set(err, E_USAGE, "a token label is UTF-8 text that does not end with a blank");
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)label[i] < 0x20 || label[i] == 0x7f) {
            return err_set(err, E_USAGE, "a token label has no control characters");
        }
    }
    return true;
}

static bool check_pin_length(const CK_TOKEN_INFO *info, const struct secret *pin, const char *whose,
                             struct err *err)
{
    bool has_max = info->ulMaxPinLen != 0 && info->ulMaxPinLen != CK_UNAVAILABLE_INFORMATION;
    bool has_min = info->ulMinPinLen != CK_UNAVAILABLE_INFORMATION;

    if ((has_min && pin->len < info->ulMinPinLen) || (has_max && pin->len > info->ulMaxPinLen)) {
        return err_set(err, E_USAGE,
                       "the PIN of the %s has %zu characters, and this token takes %lu to %lu; "
                       "nothing was changed",
                       whose, pin->len, (unsigned long)info->ulMinPinLen,
                       (unsigned long)info->ulMaxPinLen);
    }
    return true;
}

static bool check_pins(const struct hsm_token *token, const struct hsm_token_init *init,
                       struct err *err)
{
    CK_TOKEN_INFO info;

    return read_token_info(token, &info, err) &&
           check_pin_length(&info, init->so_pin, "security officer", err) &&
           check_pin_length(&info, init->user_pin, "user", err);
}

/* C_InitToken wants 32 bytes padded with blanks, and not every libp11 pads. */
static void pad_label(const char *label, char out[static 33])
{
    size_t len = strlen(label);

    memset(out, ' ', 32);
    memcpy(out, label, len < 32 ? len : 32);
    out[32] = '\0';
}

static bool set_user_pin(struct hsm_module *module, PKCS11_SLOT *slot,
                         const struct hsm_token_init *init, struct err *err)
{
    bool ok = LIBP11(module, CALL_QUICK, "C_OpenSession", err, PKCS11_open_session(slot, 1)) &&
              LIBP11(module, CALL_LOGIN, "C_Login (security officer)", err,
                     PKCS11_login(slot, 1, secret_expose(init->so_pin))) &&
              LIBP11(module, CALL_WRITE, "C_InitPIN", err,
                     PKCS11_init_pin(slot->token, secret_expose(init->user_pin)));
    struct err ignored = ERR_INIT;

    (void)LIBP11(module, CALL_QUICK, "C_Logout", &ignored, PKCS11_logout(slot));
    return ok;
}

static bool initialise_locked(struct hsm_module *module, const struct hsm_uri *uri,
                              const struct hsm_token_init *init, struct err *err)
{
    struct hsm_token *token = NULL;
    char label[33];

    if (!refresh(module, err) || !choose_blank(module, uri, init->erase, &token, err) ||
        !label_is_free(module, init->label, token, err) || !so_may_try(&token->info, err) ||
        !check_pins(token, init, err)) {
        return false;
    }
    PKCS11_SLOT *slot = libp11_slot(module, token->info.slot_id);
    pad_label(init->label, label);
    if (!LIBP11(module, CALL_WRITE, "C_InitToken", err,
                PKCS11_init_token(slot->token, secret_expose(init->so_pin), label))) {
        return err_wrap(err, "initialising the token in slot %lu of %s",
                        (unsigned long)token->info.slot_id, module->path);
    }
    if (!set_user_pin(module, slot, init, err)) {
        err->code = E_TOKEN;
        return err_wrap(err,
                        "token '%s' is initialised now and has no user PIN (repeat with --erase)",
                        init->label);
    }
    return true;
}

/* libp11 keeps the SO PIN inside its slot until the slots are released; here nobody has a session
 * yet. */
static void forget_slots(struct hsm_module *module)
{
    release_slots(module);
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        t->present = false;
    }
}

bool hsm_token_initialise(const struct hsm_target *target, const struct hsm_token_init *init,
                          struct hsm_token **out, struct err *err)
{
    AUTO(hsm_lock) struct hsm_lock lock = HSM_LOCK_INIT;
    AUTO(hsm_uri) struct hsm_uri made = {0};
    struct hsm_module *module = NULL;

    if (!check_label(init->label, err)) {
        return false;
    }
    if (!hsm_target_module(target, &module, err) || !hsm_module_lock(module, &lock, err)) {
        return false;
    }
    pthread_mutex_lock(&module->lock);
    bool ok = initialise_locked(module, target->uri, init, err);
    forget_slots(module);
    pthread_mutex_unlock(&module->lock);
    hsm_lock_release(&lock);
    if (!ok || !hsm_module_restart(module, err)) {
        return false;
    }
    made.token = str_dup(init->label);
    return made.token != NULL ? find_token(module, &made, out, err) : err_nomem(err);
}
