/*
 * From what a person configured (module, token URI, PIN source) and a URI to a token that is logged
 * in.
 *
 * For programs of ours; the provider has its own rules for PINs, because it lives in other people's
 * programs.
 */
#ifndef HSM_ACCESS_H
#define HSM_ACCESS_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/secret_source.h"
#include "hsm/identity.h"
#include "hsm/session.h"
#include "hsm/slot.h"
#include "hsm/uri.h"

#include <stdbool.h>

/* A token as the configuration describes it. All borrowed, all but secrets may be NULL. */
struct hsm_access {
    const char *section; /* the name of its section, for hsm/identity.h; NULL: it has none */
    const char *module_path;
    const char *init_args;
    const char *quirks; /* words; for the configured module, like init_args */
    const char *token_uri;
    const char *pin_source;        /* NULL: prompt */
    bool pin_source_is_deliberate; /* given for this command, so it goes to whatever token it names
                                    */
    bool try_pin_again;            /* whatever became of the last one */
    bool so_generates, so_writes_certificates; /* the token lets nobody else */
    const char *so_pin_source;                 /* for that; NULL: prompt */
    const struct secret_policy *secrets;
};

struct hsm_opened {
    struct hsm_uri uri; /* the URI, completed by the configuration; owned */
    struct hsm_token *token;
    const char *pin_source; /* the one in force; borrowed from uri or access */
};

void hsm_opened_done(struct hsm_opened *opened);

/*
 * Opens the token that `uri` means (NULL: the configured one) and logs in if asked. What the URI
 * says about the token goes before the configuration. A configured PIN source belongs to the
 * configured token: for another one a person is asked. A PIN inside a URI is refused: command lines
 * and files are read by others. E_USAGE, E_CONFIG, and what hsm_token_open() and hsm_login() fail
 * with. A token that is not the one that the section was used with before is refused.
 */
bool hsm_access_open(const struct hsm_access *access, const char *uri, bool login,
                     struct hsm_opened *out, struct err *err) NODISCARD;

/* What a token is opened for: some want the security officer for it. */
enum hsm_purpose { HSM_TO_USE, HSM_TO_GENERATE, HSM_TO_WRITE_CERTIFICATES };

/*
 * As hsm_access_open() with a login, in the role that the configuration has for the purpose
 * (hsm/role.h); a token that is not the configured one is opened by its user. The next
 * hsm_access_open() with a login is the user's again, and asks for the user's PIN again.
 */
bool hsm_access_open_to(const struct hsm_access *access, const char *uri, enum hsm_purpose purpose,
                        struct hsm_opened *out, struct err *err) NODISCARD;

/* Adds to an error which setting helps, if the token answered that whoever is logged in for the
 * purpose may not do it. Returns false. */
bool hsm_access_explain_role(const struct hsm_access *access, enum hsm_purpose purpose,
                             struct err *err);

/*
 * Whether the opened token is the one that the configured section was used with before
 * (hsm/identity.h); a token that the configuration does not mean is not asked about.
 * hsm_access_open() asks before it logs in; others that send a PIN have to. E_TOKEN_MISSING, E_IO.
 */
bool hsm_access_check_identity(const struct hsm_access *access, const struct hsm_opened *opened,
                               struct err *err) NODISCARD;

/* Remembers the opened token as that of the section; `before` is what was remembered. E_USAGE if
 * the section does not mean it, E_IO. */
bool hsm_access_accept(const struct hsm_access *access, const struct hsm_opened *opened,
                       struct hsm_identity *before, struct err *err) NODISCARD;

/* What the configured token is remembered under; the name is NULL if no section is in use. */
struct hsm_section hsm_access_section(const struct hsm_access *access);

/* Remembers a token that was initialised just now, if it is the configured one: label and serial
 * may be new. What cannot be written is warned of. */
void hsm_access_initialised(const struct hsm_access *access, struct hsm_token *token);

/* The URI and the target of an access, without opening anything; for token administration. */
bool hsm_access_target(const struct hsm_access *access, struct hsm_uri *uri,
                       struct hsm_target *target, struct err *err) NODISCARD;

DEFINE_AUTO_DONE(hsm_opened, struct hsm_opened, hsm_opened_done)

#endif
