/* JSON: walked with every getter, printed, and parsed again. */
#include "fuzz/fuzz.h"

#include "json/json.h"

static void walk(const json *value, int depth)
{
    static const char *const names[] = {"id", "code", "name", "status", ""};
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;
    size_t count = 0;

    CHECK(depth <= JSON_DEPTH_MAX);
    (void)json_int(value, &number);
    (void)json_string(value);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err err = ERR_INIT;
        if (!json_get_string(value, names[i], &text, &err)) {
            CHECK_ERR(err);
        }
        if (!json_get_int(value, names[i], &number, &err)) {
            CHECK_ERR(err);
        }
        (void)json_find_bool(value, names[i], &flag);
        const json *member = json_member(value, names[i]);
        if (member != NULL) {
            walk(member, depth + 1);
        }
    }
    for (const json *item = json_first(value); item != NULL; item = json_next(item)) {
        count++;
        walk(item, depth + 1);
    }
    CHECK(count == json_count(value));
}

static void check_print(const json *doc)
{
    AUTO(buf) struct buf text = BUF_INIT(1 << 22);
    AUTO(json) json *again = NULL;
    struct err err = ERR_INIT;

    if (json_print(doc, &text, &err)) {
        CHECK(json_parse((const uint8_t *)buf_str(&text), text.len, &again, &err));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) json *doc = NULL;
    struct err err = ERR_INIT;

    if (!json_parse(data, size, &doc, &err)) {
        CHECK_ERR(err);
        CHECK(doc == NULL);
        return 0;
    }
    walk(doc, 0);
    check_print(doc);
    return 0;
}
