/*
 * What a command prints on stdout: for people, or as JSON; the same calls for both.
 *
 * JSON is one object per command: {"schema":1,"command":"key list", ...the fields..., "error":{...}
 * if it failed}. The schema number changes only when a field changes its meaning or goes away.
 * People get the same fields as "Label: value" lines and tables. Output is streamed: a list of any
 * length costs no memory.
 */
#ifndef OUT_OUT_H
#define OUT_OUT_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { OUT_SCHEMA = 1, OUT_COLUMNS_MAX = 40, OUT_NEST_MAX = 4 };

struct out;

/* One column of a table. */
struct out_column {
    const char *key;   /* in JSON */
    const char *title; /* for people; NULL: only in JSON */
    int width;         /* for people; the last column needs none */
    bool number;       /* in JSON */
};

/* What a format does with each call; NULL: nothing. */
struct out_ops {
    void (*begin)(struct out *out, const char *command);
    void (*text)(struct out *out, const char *key, const char *label, const char *value);
    void (*number)(struct out *out, const char *key, const char *label, int64_t value);
    void (*boolean)(struct out *out, const char *key, const char *label, bool value);
    void (*block)(struct out *out, const char *key, const char *value);
    void (*group)(struct out *out, const char *key, const char *title);
    void (*group_end)(struct out *out);
    void (*table)(struct out *out, const char *key, const char *when_empty);
    void (*row)(struct out *out, const char *const cells[]);
    void (*table_end)(struct out *out);
    void (*list)(struct out *out, const char *key);
    void (*list_end)(struct out *out);
    void (*item)(struct out *out);
    void (*item_end)(struct out *out);
    void (*error)(struct out *out, const struct err *err, const char *hint);
    void (*end)(struct out *out);
};

struct out {
    const struct out_ops *ops;
    FILE *file;
    /* state of the format */
    int depth;
    bool first; /* nothing was written in the current object or array */
    const struct out_column *columns;
    size_t column_count;
    size_t rows;
    const char *when_empty;
    bool in_table;
    char open[OUT_NEST_MAX + 1]; /* what closes the lists and items that are open */
    size_t nested;
    bool failed; /* writing failed: a full disk behind a redirection must not look like success */
};

void out_init_human(struct out *out, FILE *file);
void out_init_json(struct out *out, FILE *file);

/* Tables alone, for other programs: comma-separated values with a line of keys (RFC 4180), or a
 * JSON object on each line. Fields outside of tables are left out. */
void out_init_csv(struct out *out, FILE *file);
void out_init_jsonl(struct out *out, FILE *file);

void out_begin(struct out *out, const char *command);

/* For the formats themselves: a row as a JSON object. */
void out_json_row(struct out *out, const char *const cells[]);

/* A field. NULL values are left out for people and null in JSON. */
void out_text(struct out *out, const char *key, const char *label, const char *value);
void out_number(struct out *out, const char *key, const char *label, int64_t value);
void out_bool(struct out *out, const char *key, const char *label, bool value);

/* A time as RFC 3339; 0 is no time. */
void out_time(struct out *out, const char *key, const char *label, int64_t wall_s);

/* Text of several lines (PEM): as it is for people, a string in JSON. */
void out_block(struct out *out, const char *key, const char *value);

/* Fields under a title; an object in JSON. */
void out_group(struct out *out, const char *key, const char *title);
void out_group_end(struct out *out);

/* Rows. cells has one text per column (NULL: none). The columns must live until out_table_end(). */
void out_table(struct out *out, const char *key, const struct out_column *columns, size_t count,
               const char *when_empty);
void out_row(struct out *out, const char *const cells[]);
void out_table_end(struct out *out);

/* Items that have fields and tables of their own, in JSON and in lines of it alone, where each is a
 * line. No groups within. */
void out_list(struct out *out, const char *key);
void out_list_end(struct out *out);
void out_item(struct out *out);
void out_item_end(struct out *out);

/* The failure that ended the command. In JSON alone: people read it on stderr. */
void out_error(struct out *out, const struct err *err, const char *hint);

/* Ends the output and flushes. E_IO if anything could not be written. */
bool out_end(struct out *out, struct err *err) NODISCARD;

#endif
