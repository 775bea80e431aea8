/*
 * OSSL_LIB_CTX_new_child() (OSSL_LIB_CTX(3)) asks the core to be told of the parent's providers,
 * and OSSL_LIB_CTX_free() takes that back, by way of the parent. If the parent is gone by then,
 * this ends the program, and nobody tells us that it is gone.
 *
 * So the core gets callbacks of ours, which pass on what they are told as long as the child lives,
 * and nothing is ever taken back. What they need lives as long as the process, and so does this
 * code (the provider is linked with nodelete).
 */
#include "provider/child.h"

#include "base/compiler.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Between the core and one child; both may end before the other. */
struct link {
    pthread_mutex_t lock;
    bool ended; /* there is no child any more */
    OSSL_FUNC_provider_register_child_cb_fn *core_register;
    int (*create)(const OSSL_CORE_HANDLE *provider, void *arg);
    int (*remove)(const OSSL_CORE_HANDLE *provider, void *arg);
    int (*set_properties)(const char *properties, void *arg);
    void *arg;
    struct link *next;
};

struct prov_child {
    OSSL_LIB_CTX *libctx;
    struct link *link;
};

/* All there ever were: for leak checkers, which look for somebody who still knows them. */
static _Atomic(struct link *) links;

/* The one that is being made: OpenSSL does not hand it through to register_child(). */
static _Thread_local struct link *in_making;

static int pass_create(const OSSL_CORE_HANDLE *provider, void *arg)
{
    struct link *link = arg;

    (void)pthread_mutex_lock(&link->lock);
    int ok = link->ended || link->create(provider, link->arg);
    (void)pthread_mutex_unlock(&link->lock);
    return ok;
}

static int pass_remove(const OSSL_CORE_HANDLE *provider, void *arg)
{
    struct link *link = arg;

    (void)pthread_mutex_lock(&link->lock);
    int ok = link->ended || link->remove(provider, link->arg);
    (void)pthread_mutex_unlock(&link->lock);
    return ok;
}

static int pass_properties(const char *properties, void *arg)
{
    struct link *link = arg;

    (void)pthread_mutex_lock(&link->lock);
    int ok = link->ended || link->set_properties(properties, link->arg);
    (void)pthread_mutex_unlock(&link->lock);
    return ok;
}

/* OSSL_FUNC_provider_register_child_cb_fn, for the child */
static int register_child(const OSSL_CORE_HANDLE *handle,
                          int (*create)(const OSSL_CORE_HANDLE *provider, void *arg),
                          int (*remove)(const OSSL_CORE_HANDLE *provider, void *arg),
                          int (*set_properties)(const char *properties, void *arg), void *arg)
{
    struct link *link = in_making;

    if (link == NULL || link->core_register == NULL) {
        return 0;
    }
    link->create = create;
    link->remove = remove;
    link->set_properties = set_properties;
    link->arg = arg;
    return link->core_register(handle, pass_create, pass_remove, pass_properties, link);
}

/* OSSL_FUNC_provider_deregister_child_cb_fn, for the child */
static void deregister_child(const OSSL_CORE_HANDLE *handle UNUSED)
{
}

/* The core's functions, but for those two; free() it. */
static OSSL_DISPATCH *with_ours(const OSSL_DISPATCH *in, struct link *link)
{
    size_t count = 1;

    for (const OSSL_DISPATCH *p = in; p->function_id != 0; p++) {
        count++;
    }
    OSSL_DISPATCH *out = calloc(count, sizeof(*out));
    if (out == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = in[i];
        if (in[i].function_id == OSSL_FUNC_PROVIDER_REGISTER_CHILD_CB) {
            link->core_register = OSSL_FUNC_provider_register_child_cb(&in[i]);
            out[i].function = (void (*)(void))register_child;
        } else if (in[i].function_id == OSSL_FUNC_PROVIDER_DEREGISTER_CHILD_CB) {
            out[i].function = (void (*)(void))deregister_child;
        }
    }
    return out;
}

static struct link *new_link(void)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL || pthread_mutex_init(&link->lock, NULL) != 0) {
        free(link);
        return NULL;
    }
    link->next = atomic_load(&links);
    while (!atomic_compare_exchange_weak(&links, &link->next, link)) {
    }
    return link;
}

static void end_link(struct link *link)
{
    (void)pthread_mutex_lock(&link->lock);
    link->ended = true;
    (void)pthread_mutex_unlock(&link->lock);
}

struct prov_child *prov_child_new(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in)
{
    struct prov_child *child = calloc(1, sizeof(*child));
    struct link *link = child != NULL ? new_link() : NULL;
    OSSL_DISPATCH *table = link != NULL ? with_ours(in, link) : NULL;

    if (table == NULL) {
        free(child);
        return NULL;
    }
    in_making = link;
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new_child(handle, table);
    in_making = NULL;
    free(table);
    *child = (struct prov_child){.libctx = libctx, .link = link};
    if (libctx == NULL) {
        prov_child_free(child);
        return NULL;
    }
    return child;
}

void prov_child_free(struct prov_child *child)
{
    if (child == NULL) {
        return;
    }
    end_link(child->link);
    OSSL_LIB_CTX_free(child->libctx);
    free(child);
}

OSSL_LIB_CTX *prov_child_libctx(const struct prov_child *child)
{
    return child->libctx;
}
