#include "base/kept_secret.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

bool kept_secret_set(struct kept_secret *kept, const struct secret *from, struct err *err)
{
    kept_secret_done(kept);
    if (from->len > PAGE) {
        return err_set(err, E_USAGE, "a secret is longer than %d bytes", PAGE);
    }
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return err_nomem(err);
    }
    (void)mlock(page, PAGE); /* may be refused by the limits of the process */
    (void)madvise(page, PAGE, MADV_DONTDUMP);
    memcpy(page, from->data, from->len);
    kept->page = page;
    kept->len = from->len;
    return true;
}

bool kept_secret_get(const struct kept_secret *kept, struct secret *to, struct err *err)
{
    return kept->page != NULL && secret_set(to, kept->page, kept->len, err);
}

void kept_secret_done(struct kept_secret *kept)
{
    if (kept->page != NULL) {
        OPENSSL_cleanse(kept->page, kept->len);
        (void)munmap(kept->page, PAGE);
    }
    *kept = (struct kept_secret){.page = NULL};
}
