#include "hsm/slot.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "hsm/ckr.h"
#include "hsm/module_impl.h"
#include "hsm/revive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Pauses before looking again for a token that was not there. */
static const int64_t retry_pauses_ms[] = {50, 150, 400};

enum { CANDIDATES_SHOWN = 8, MECHANISMS_MAX = 4096, SLOTS_MAX = 65536, SLOT_LIST_TRIES = 4 };

const char *hsm_token_name(const struct hsm_token_info *info)
{
    static _Thread_local char name[96];
    const char *label = info->initialized ? info->label : "(not initialised)";

    (void)snprintf(name, sizeof(name), "token '%s' (serial %s)", label,
                   info->serial[0] != '\0' ? info->serial : "none");
    return name;
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

/* A field of Cryptoki without its padding, and without anything that could upset a terminal. */
static void field_text(const CK_UTF8CHAR *field, size_t field_len, char *out)
{
    size_t len = 0;

    while (len < field_len && field[len] != '\0') {
        len++; /* some pad with NUL, which the standard does not allow */
    }
    while (len > 0 && field[len - 1] == ' ') {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = field[i] < 0x20 || field[i] == 0x7f ? '?' : (char)field[i];
    }
    out[len] = '\0';
}

#define FIELD(out, field)                                                                          \
    do {                                                                                           \
        _Static_assert(sizeof(out) > sizeof(field), "room for the field and its end");             \
        field_text((field), sizeof(field), (out));                                                 \
    } while (false)

static void take_flags(struct hsm_token_info *t, CK_FLAGS flags)
{
    t->initialized = (flags & CKF_TOKEN_INITIALIZED) != 0;
    t->login_required = (flags & CKF_LOGIN_REQUIRED) != 0;
    t->pin_pad = (flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
    t->write_protected = (flags & CKF_WRITE_PROTECTED) != 0;
    t->user_pin_set = (flags & CKF_USER_PIN_INITIALIZED) != 0;
    t->user_pin_low = (flags & CKF_USER_PIN_COUNT_LOW) != 0;
    t->user_pin_final = (flags & CKF_USER_PIN_FINAL_TRY) != 0;
    t->user_pin_locked = (flags & CKF_USER_PIN_LOCKED) != 0;
    t->user_pin_to_be_changed = (flags & CKF_USER_PIN_TO_BE_CHANGED) != 0;
    t->so_pin_low = (flags & CKF_SO_PIN_COUNT_LOW) != 0;
    t->so_pin_final = (flags & CKF_SO_PIN_FINAL_TRY) != 0;
    t->so_pin_locked = (flags & CKF_SO_PIN_LOCKED) != 0;
    t->so_pin_to_be_changed = (flags & CKF_SO_PIN_TO_BE_CHANGED) != 0;
}

static void take_info(struct hsm_token_info *out, CK_SLOT_ID id, const CK_SLOT_INFO *slot,
                      const CK_TOKEN_INFO *token)
{
    memset(out, 0, sizeof(*out));
    out->slot_id = id;
    FIELD(out->label, token->label);
    FIELD(out->manufacturer, token->manufacturerID);
    FIELD(out->model, token->model);
    FIELD(out->serial, token->serialNumber);
    FIELD(out->slot_description, slot->slotDescription);
    FIELD(out->slot_manufacturer, slot->manufacturerID);
    take_flags(out, token->flags);
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

/* The ids of all slots, with a token or without; free() them. */
static bool list_slots(const struct hsm_module *module, CK_SLOT_ID **out, CK_ULONG *count,
                       struct err *err)
{
    CK_SLOT_ID *ids = NULL;
    CK_ULONG n = 0;
    CK_RV rv = CKR_OK;

    for (int attempt = 0; attempt < SLOT_LIST_TRIES; attempt++) {
        rv = ck_get_slot_list(&module->ck, NULL, &n);
        if (rv != CKR_OK || n == 0) {
            break;
        }
        if (n > SLOTS_MAX) {
            free(ids);
            return err_set(err, E_MODULE, "it claims to have %lu slots", (unsigned long)n);
        }
        free(ids);
        ids = calloc(n, sizeof(*ids));
        if (ids == NULL) {
            return err_nomem(err);
        }
        rv = ck_get_slot_list(&module->ck, ids, &n);
        if (rv != CKR_BUFFER_TOO_SMALL) { /* a reader was plugged in meanwhile */
            break;
        }
    }
    if (rv != CKR_OK) {
        free(ids);
        (void)ckr_set(err, rv, "C_GetSlotList");
        return err_wrap(err, "listing the slots");
    }
    *out = ids;
    *count = n;
    return true;
}

/* What is in one slot. A slot that cannot be read fills `failed`, and is no reason to hide the
 * others. */
static bool read_slot(const struct hsm_module *module, CK_SLOT_ID id, struct hsm_token_info *info,
                      struct hsm_failed_slot *failed)
{
    CK_SLOT_INFO slot;
    CK_TOKEN_INFO token;

    memset(&slot, 0, sizeof(slot));
    *failed = (struct hsm_failed_slot){.slot_id = id, .call = "C_GetSlotInfo"};
    failed->rv = ck_get_slot_info(&module->ck, id, &slot);
    if (failed->rv != CKR_OK) {
        return false;
    }
    FIELD(failed->description, slot.slotDescription);
    if ((slot.flags & CKF_TOKEN_PRESENT) == 0) {
        return false;
    }
    failed->call = "C_GetTokenInfo";
    failed->rv = ck_get_token_info(&module->ck, id, &token);
    if (failed->rv == CKR_TOKEN_NOT_PRESENT) {
        failed->rv = CKR_OK; /* it was pulled meanwhile */
        return false;
    }
    if (failed->rv != CKR_OK) {
        return false;
    }
    take_info(info, id, &slot, &token);
    return true;
}

static void add_failed(struct hsm_module *module, const struct hsm_failed_slot *failed)
{
    if (module->failed_count < HSM_FAILED_SLOTS_MAX) {
        module->failed[module->failed_count++] = *failed;
    }
    log_line(LOG_DEBUG, "hsm", "slot %lu of %s: %s: %s", (unsigned long)failed->slot_id,
             module->path, failed->call, ckr_name(failed->rv));
}

static bool read_each(struct hsm_module *module, const CK_SLOT_ID *ids, CK_ULONG count,
                      struct err *err)
{
    unsigned found = 0;

    for (CK_ULONG i = 0; i < count; i++) {
        struct hsm_token_info info;
        struct hsm_failed_slot failed;
        if (read_slot(module, ids[i], &info, &failed)) {
            found++;
            if (!remember(module, &info, err)) {
                return false;
            }
        } else if (failed.rv != CKR_OK) {
            add_failed(module, &failed);
        }
    }
    if (found == 0 && module->failed_count > 0) {
        const struct hsm_failed_slot *first = &module->failed[0];
        (void)ckr_set(err, first->rv, first->call);
        return err_wrap(err, "slot %lu", (unsigned long)first->slot_id);
    }
    return true;
}

static bool refresh(struct hsm_module *module, struct err *err)
{
    CK_SLOT_ID *ids = NULL;
    CK_ULONG count = 0;

    if (!list_slots(module, &ids, &count, err)) {
        return err_wrap(err, "PKCS#11 module %s", module->path);
    }
    for (struct hsm_token *t = module->tokens; t != NULL; t = t->next) {
        t->present = false;
    }
    module->failed_count = 0;
    bool ok = read_each(module, ids, count, err);
    free(ids);
    return ok || err_wrap(err, "PKCS#11 module %s", module->path);
}

size_t hsm_module_failed_slots(const struct hsm_module *module)
{
    return module->failed_count;
}

void hsm_module_visit_failed_slots(struct hsm_module *module, hsm_failed_slot_visit_fn *visit,
                                   void *ctx)
{
    for (size_t i = 0; i < module->failed_count; i++) {
        visit(ctx, &module->failed[i]);
    }
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

bool hsm_none_matches(const struct hsm_module *module, const struct hsm_uri *uri, struct err *err)
{
    AUTO(buf) struct buf there = BUF_INIT(1024);
    AUTO(buf) struct buf wanted = BUF_INIT(HSM_URI_MAX);

    add_names(&there, module, NULL);
    for (size_t i = 0; i < module->failed_count && i < CANDIDATES_SHOWN; i++) {
        const struct hsm_failed_slot *f = &module->failed[i];
        buf_addf(&there, "; slot %lu (%s) cannot be read: %s: %s", (unsigned long)f->slot_id,
                 f->description, f->call, ckr_name(f->rv));
    }
    hsm_uri_format(uri, &wanted);
    return err_set(err, E_TOKEN_MISSING, "no token matches %s; initialised tokens of %s: %s",
                   buf_str(&wanted), module->path, buf_str(&there));
}

bool hsm_several_match(const struct hsm_module *module, const struct hsm_uri *uri, struct err *err)
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

bool hsm_token_find(struct hsm_module *module, const struct hsm_uri *uri, struct hsm_token **out,
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
    return count == 0 ? hsm_none_matches(module, uri, err) : hsm_several_match(module, uri, err);
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

    return hsm_target_module(target, &module, err) && hsm_token_find(module, target->uri, out, err);
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

bool hsm_token_read_info(const struct hsm_token *token, CK_TOKEN_INFO *info, struct err *err)
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

    if (!hsm_token_read_info(token, &info, err)) {
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
    take_flags(&token->info, info.flags);
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

void hsm_token_mechanism(const struct hsm_token *token, CK_MECHANISM_TYPE type,
                         struct hsm_mechanism *out)
{
    CK_MECHANISM_INFO info;

    *out = (struct hsm_mechanism){.type = type};
    if (ck_get_mechanism_info(&token->module->ck, token->info.slot_id, type, &info) != CKR_OK) {
        return;
    }
    out->known = true;
    out->generates = (info.flags & (CKF_GENERATE_KEY_PAIR | CKF_GENERATE)) != 0;
    out->signs = (info.flags & (CKF_SIGN | CKF_SIGN_RECOVER)) != 0;
    out->decrypts = (info.flags & (CKF_DECRYPT | CKF_UNWRAP)) != 0;
    out->derives = (info.flags & CKF_DERIVE) != 0;
    out->in_hardware = (info.flags & CKF_HW) != 0;
    out->min_size = info.ulMinKeySize;
    out->max_size = info.ulMaxKeySize == CK_UNAVAILABLE_INFORMATION ? 0 : info.ulMaxKeySize;
}

bool hsm_token_uri(const struct hsm_token_info *info, struct hsm_uri *uri, struct err *err)
{
    memset(uri, 0, sizeof(*uri));
    return hsm_uri_set(&uri->token, info->label, err) &&
           hsm_uri_set(&uri->manufacturer, info->manufacturer, err) &&
           hsm_uri_set(&uri->model, info->model, err) &&
           hsm_uri_set(&uri->serial, info->serial, err);
}
