/* Inside ca/scm: reading a list of the API to its end, a page in memory. */
#ifndef CA_SCM_PAGES_H
#define CA_SCM_PAGES_H

#include "ca/scm/call.h"

/* One item of the list. key tells it from others; items without one are passed over. */
typedef bool scm_key_fn(const json *item, uint64_t *key);
/* Ends the reading, and well, with false and err empty. */
typedef bool scm_item_fn(void *ctx, const json *item, struct err *err);

struct scm_list {
    enum scm_endpoint_id endpoint;
    const char *filter; /* "&name=value...", percent-encoded; "" */
    scm_key_fn *key;
    scm_item_fn *visit;
    void *ctx;
};

/* Each item once, although items move between pages while others are at work. */
bool scm_read_list(struct scm *scm, const struct scm_list *list, struct err *err) NODISCARD;

/* A number for a text, for keys (FNV-1a). */
uint64_t scm_text_key(const char *text);

#endif
