/* Key management: the functions that all kinds of keys share, and what each adds. */
#ifndef PROVIDER_KEYMGMT_H
#define PROVIDER_KEYMGMT_H

#include "provider/key.h"

#include <openssl/core_dispatch.h>

extern const OSSL_DISPATCH prov_keymgmt_rsa[];
extern const OSSL_DISPATCH prov_keymgmt_rsa_pss[];
extern const OSSL_DISPATCH prov_keymgmt_ec[];
extern const OSSL_DISPATCH prov_keymgmt_ed25519[];
extern const OSSL_DISPATCH prov_keymgmt_ed448[];
extern const OSSL_DISPATCH prov_keymgmt_x[]; /* X25519, X448 */

/* Shared life-cycle functions, for the dispatch tables. */
OSSL_FUNC_keymgmt_new_fn prov_keymgmt_new;
OSSL_FUNC_keymgmt_import_fn prov_keymgmt_import; /* declines */
OSSL_FUNC_keymgmt_import_types_fn prov_keymgmt_import_types;
OSSL_FUNC_keymgmt_load_fn prov_keymgmt_load;
OSSL_FUNC_keymgmt_free_fn prov_keymgmt_free;
OSSL_FUNC_keymgmt_has_fn prov_keymgmt_has;
OSSL_FUNC_keymgmt_match_fn prov_keymgmt_match;
OSSL_FUNC_keymgmt_dup_fn prov_keymgmt_dup;
OSSL_FUNC_keymgmt_export_fn prov_keymgmt_export;

/* For get_params: sets the parameter if it is asked for. */
bool prov_keymgmt_set_int(OSSL_PARAM params[], const char *name, int value);
bool prov_keymgmt_set_string(OSSL_PARAM params[], const char *name, const char *value);

/* The same with the public point or, for Ed and X keys, the public key. False, with an error that
 * names the key, if it is asked for and not known. */
bool prov_keymgmt_set_point(OSSL_PARAM params[], const char *name, const struct prov_key *key);
/* Generation, shared but for how it starts; see keymgmt_gen.c. */
OSSL_FUNC_keymgmt_gen_init_fn prov_keymgmt_gen_init_rsa;
OSSL_FUNC_keymgmt_gen_init_fn prov_keymgmt_gen_init_ec;
OSSL_FUNC_keymgmt_gen_init_fn prov_keymgmt_gen_init_ed25519;
OSSL_FUNC_keymgmt_gen_init_fn prov_keymgmt_gen_init_ed448;
OSSL_FUNC_keymgmt_gen_set_params_fn prov_keymgmt_gen_set_params;
OSSL_FUNC_keymgmt_gen_settable_params_fn prov_keymgmt_gen_settable_params;
OSSL_FUNC_keymgmt_gen_fn prov_keymgmt_gen;
OSSL_FUNC_keymgmt_gen_cleanup_fn prov_keymgmt_gen_cleanup;

/* For get_params: false, with an error that names the key, if a parameter of the public half is
 * wanted (not NULL) and the public half is not known. */
bool prov_keymgmt_public_wanted(const struct prov_key *key, const OSSL_PARAM *wanted);

/*
 * True for the import that precedes a trial (trial.h): OpenSSL compares a token key whose public
 * half is not known with a public key. Then it asks for the whole pair and, unlike for an operation
 * with the key, not for "other parameters". What is imported may stay with the application's key
 * and be used later; so a private key is declined, whose owner would be unable to sign.
 */
bool prov_keymgmt_is_trial(int selection, const OSSL_PARAM params[]);

/* Imports a public key on that curve (NULL: none of ours) into an empty key. */
bool prov_keymgmt_import_point(struct prov_key *key, const struct hsm_curve *curve,
                               const OSSL_PARAM params[]);

#define PROV_KEYMGMT_COMMON(import)                                                                \
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))prov_keymgmt_new},                                     \
        {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))(import)},                                      \
        {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))prov_keymgmt_import_types},               \
        {OSSL_FUNC_KEYMGMT_LOAD, (void (*)(void))prov_keymgmt_load},                               \
        {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))prov_keymgmt_free},                               \
        {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))prov_keymgmt_has},                                 \
        {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))prov_keymgmt_match},                             \
        {OSSL_FUNC_KEYMGMT_DUP, (void (*)(void))prov_keymgmt_dup},                                 \
    {                                                                                              \
        OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))prov_keymgmt_export                              \
    }

#define PROV_KEYMGMT_GEN(init)                                                                     \
    {OSSL_FUNC_KEYMGMT_GEN_INIT, (void (*)(void))(init)},                                          \
        {OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (void (*)(void))prov_keymgmt_gen_set_params},           \
        {OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, (void (*)(void))prov_keymgmt_gen_settable_params}, \
        {OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))prov_keymgmt_gen},                                 \
    {                                                                                              \
        OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))prov_keymgmt_gen_cleanup                    \
    }

#endif
