/*
 * Tokens: what there is, and which one a URI means. Their administration is in hsm/admin.h.
 *
 * A token is found by URI and remembered by what it says of itself, never by its slot number, which
 * moves. The structs live as long as their module.
 */
#ifndef HSM_SLOT_H
#define HSM_SLOT_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/kept_secret.h"
#include "base/secret.h"
#include "hsm/cryptoki.h"
#include "hsm/module.h"
#include "hsm/uri.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hsm_token_info {
    CK_SLOT_ID slot_id;
    char label[33];
    char manufacturer[33];
    char model[17];
    char serial[17];
    char slot_description[65];
    char slot_manufacturer[33];
    bool initialized;
    bool login_required;
    bool pin_pad; /* CKF_PROTECTED_AUTHENTICATION_PATH */
    bool write_protected;
    bool user_pin_set;
    bool user_pin_low, user_pin_final, user_pin_locked, user_pin_to_be_changed;
    bool so_pin_low, so_pin_final, so_pin_locked, so_pin_to_be_changed;
};

/* What C_GetTokenInfo says beyond that, read when asked for. Negative: the token does not say. */
struct hsm_token_limits {
    CK_VERSION hardware, firmware;
    unsigned long min_pin, max_pin;
    long max_sessions, open_sessions;
    long total_public_memory, free_public_memory;
};

enum {
    HSM_SESSIONS_KEPT = 32,  /* idle sessions that a pool keeps */
    HSM_SESSIONS_LIMIT = 64, /* open at a time, unless the token or somebody wants fewer */
};

struct hsm_session_pool {
    CK_SESSION_HANDLE idle[HSM_SESSIONS_KEPT];
    size_t count;
};

/*
 * Fields below `info` belong to hsm/session.c and hsm/revive.c; `lock` guards them.
 *
 * Handles do not live for ever: a restarted server, a card that was pulled or a fork may end them.
 * Who keeps a handle keeps the number that was current when it got it: of `sessions_epoch` for a
 * session or a session object, of `objects_epoch` for an object of the token. Another number means
 * that the handle is nobody's any more.
 */
struct hsm_token {
    struct hsm_module *module;
    struct hsm_token_info info;
    bool present;

    pthread_mutex_t lock;
    pthread_cond_t session_free;
    struct hsm_session_pool pools[2]; /* [0] read-only, [1] read/write */
    unsigned open_sessions;
    unsigned session_limit; /* 0: HSM_SESSIONS_LIMIT */
    unsigned waiting;       /* threads that wait for a session */
    atomic_uint sessions_epoch;
    atomic_uint objects_epoch;
    atomic_bool suspect; /* another token may be in the slot: to be looked at before the next use */
    pthread_mutex_t anchor_lock; /* the anchor is used by one thread at a time */
    CK_SESSION_HANDLE anchor;    /* keeps the copies of keys alive; 0: none */
    bool copies_refused;         /* the token does not copy keys */
    bool copies_unwanted;        /* the configuration does not want it */
    struct kept_secret kept_pin;
    bool so_pin_refused; /* the security officer's PIN was wrong in this process */
    bool logged_in;
    atomic_ulong ended_by; /* the CK_RV that said the login was gone; CKR_OK: none has */
    CK_USER_TYPE user;
    atomic_bool
        *pin_refused; /* a PIN was wrong: none is sent again, by this process or its children */
    CK_MECHANISM_TYPE *mechanisms; /* read when first asked for */
    size_t mechanism_count;
    bool mechanisms_read;

    struct hsm_token *next;
};

/* Prepares the locks of a token that was zeroed, or inherited by a forked child. */
void hsm_token_init_locks(struct hsm_token *token);

/* Prepares what a token shares with the children that are forked later; false when out of memory.
 */
bool hsm_token_init_shared(struct hsm_token *token) NODISCARD;

/* Whether that is what C_GetTokenInfo says of this very token. */
bool hsm_token_is(const struct hsm_token *token, const CK_TOKEN_INFO *info);

/* Which token, in which module: what a configuration or a command line says. All borrowed. */
struct hsm_target {
    const char *module_path; /* NULL: the URI's module-path */
    const char *init_args;
    unsigned quirks; /* in addition to those that the module is known for (hsm/quirks.h) */
    const struct hsm_uri *uri;
};

/*
 * Opens the module and finds the one initialised token that the URI means. A URI that says nothing
 * about the token means the only one there is. If none matches, the search is repeated for a moment
 * (tokens come and go for an instant while other processes log in). Blocks for the module's lock
 * and for C_Initialize. E_MODULE, E_TOKEN_MISSING (with the tokens that are there),
 * E_OBJECT_AMBIGUOUS (with the candidates).
 */
bool hsm_token_open(const struct hsm_target *target, struct hsm_token **out,
                    struct err *err) NODISCARD;

/* Whether what the URI says about the token is true of this one. */
bool hsm_token_matches(const struct hsm_token *token, const struct hsm_uri *uri);
bool hsm_token_info_matches(const struct hsm_token_info *info, const struct hsm_uri *uri);

/* The module of a target, opened. E_CONFIG if none is named. */
bool hsm_target_module(const struct hsm_target *target, struct hsm_module **out,
                       struct err *err) NODISCARD;

/* Reads the slots again and calls visit for each token, initialised or not, until it returns false.
 * E_TOKEN and others if none of the slots that have a token can be read. */
typedef bool hsm_token_visit_fn(void *ctx, const struct hsm_token *token);
bool hsm_module_visit_tokens(struct hsm_module *module, hsm_token_visit_fn *visit, void *ctx,
                             struct err *err) NODISCARD;

/* A slot that says that it has a token, and cannot tell which. It does not hide the others. */
enum { HSM_FAILED_SLOTS_MAX = 32 }; /* so many are remembered */

struct hsm_failed_slot {
    CK_SLOT_ID slot_id;
    char description[65]; /* "" if the slot says nothing at all */
    const char *call;     /* "C_GetTokenInfo" */
    CK_RV rv;
};

/* The slots that could not be read the last time. */
size_t hsm_module_failed_slots(const struct hsm_module *module);
typedef void hsm_failed_slot_visit_fn(void *ctx, const struct hsm_failed_slot *slot);
void hsm_module_visit_failed_slots(struct hsm_module *module, hsm_failed_slot_visit_fn *visit,
                                   void *ctx);

/* What one mechanism is for and with which keys. */
struct hsm_mechanism {
    CK_MECHANISM_TYPE type;
    bool known; /* the token told; else only the type is set */
    bool generates, signs, decrypts, derives;
    bool in_hardware;
    unsigned long min_size, max_size; /* as the token counts them: bits, mostly; 0: none */
};

/* Asks for one mechanism (C_GetMechanismInfo); a token that does not tell is no error. */
void hsm_token_mechanism(const struct hsm_token *token, CK_MECHANISM_TYPE type,
                         struct hsm_mechanism *out);

bool hsm_token_limits(const struct hsm_token *token, struct hsm_token_limits *out,
                      struct err *err) NODISCARD;

/* Reads the token's flags again (a call to the token): before a login, they decide whether a PIN
 * may be sent. */
bool hsm_token_refresh(struct hsm_token *token, struct err *err) NODISCARD;

/* The mechanisms of the token; *out is owned by the caller (free()). */
bool hsm_token_mechanisms(const struct hsm_token *token, CK_MECHANISM_TYPE **out, size_t *count,
                          struct err *err) NODISCARD;

/* "token 'prod' (serial 12af…)": how errors name it. Borrowed per-thread buffer. */
const char *hsm_token_name(const struct hsm_token_info *info);

/* A URI with the token's label, manufacturer, model and serial; strings owned by *uri. */
bool hsm_token_uri(const struct hsm_token_info *info, struct hsm_uri *uri,
                   struct err *err) NODISCARD;

#endif
