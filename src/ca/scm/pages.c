#include "ca/scm/pages.h"

enum { PAGE = 200, ROWS_MAX = 10000000 /* a CA that never comes to an end */ };

/* What came within the last two pages: an item that moved back by a page comes twice. */
struct recent {
    uint64_t keys[2 * PAGE];
    size_t next, count;
};

struct reading {
    struct scm *scm;
    const struct scm_list *list;
    struct recent recent;
    int64_t position;
    bool more;
    bool progress; /* the last page had something new */
};

static bool is_new(struct recent *recent, uint64_t key)
{
    for (size_t i = 0; i < recent->count; i++) {
        if (recent->keys[i] == key) {
            return false;
        }
    }
    recent->keys[recent->next] = key;
    recent->next = (recent->next + 1) % ARRAY_LEN(recent->keys);
    recent->count += recent->count < ARRAY_LEN(recent->keys) ? 1 : 0;
    return true;
}

uint64_t scm_text_key(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (const char *p = text; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3U;
    }
    return hash;
}

static bool visit_items(struct reading *reading, const json *doc, struct err *err)
{
    const struct scm_list *list = reading->list;

    for (const json *item = json_first(doc); item != NULL; item = json_next(item)) {
        uint64_t key = 0;
        reading->position++;
        if (!list->key(item, &key) || !is_new(&reading->recent, key)) {
            continue;
        }
        reading->progress = true;
        if (!list->visit(list->ctx, item, err)) {
            reading->more = false;
            return err->code == E_NONE;
        }
    }
    return true;
}

static bool read_page(struct reading *reading, struct err *err)
{
    AUTO(answer) struct scm_answer answer;
    AUTO(json) json *doc = NULL;
    AUTO(buf) struct buf query = BUF_INIT(8192);
    const char *name = scm_endpoint(reading->list->endpoint)->name;

    scm_answer_init(&answer);
    buf_addf(&query, "size=%d&position=%lld%s", PAGE, (long long)reading->position,
             reading->list->filter);
    if (!buf_ok(&query)) {
        return err_set(err, E_USAGE, "%s: what is looked for is too long", name);
    }
    struct scm_call call = {.endpoint = reading->list->endpoint, .query = buf_str(&query)};
    if (!scm_call_json(reading->scm, &call, &answer, &doc, err)) {
        return false;
    }
    if (!json_is_array(doc)) {
        return err_set(err, E_PROTOCOL, "%s: the answer is not a JSON array", name);
    }
    size_t rows = json_count(doc);
    int64_t total = answer.response.total_count;
    reading->more = true;
    reading->progress = rows == 0;
    if (!visit_items(reading, doc, err)) {
        return false;
    }
    /* Somebody on the way may give shorter pages than were asked for. */
    reading->more = reading->more && rows > 0 && (rows >= PAGE || total > reading->position);
    return !reading->more || reading->progress ||
           err_set(err, E_PROTOCOL,
                   "%s: after %lld rows the CA gives the same ones again, so the list cannot be "
                   "read to its end",
                   name, (long long)reading->position);
}

bool scm_read_list(struct scm *scm, const struct scm_list *list, struct err *err)
{
    struct reading reading = {.scm = scm, .list = list, .more = true};

    while (reading.more && reading.position < ROWS_MAX) {
        if (!read_page(&reading, err)) {
            return false;
        }
    }
    return !reading.more || err_set(err, E_PROTOCOL, "%s: more than %d rows, and no end",
                                    scm_endpoint(list->endpoint)->name, ROWS_MAX);
}
