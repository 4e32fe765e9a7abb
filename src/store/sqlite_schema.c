/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/sqlite_schema.h"

#include "src/log.h"

#include <errno.h>

enum { NAMED = 3 }; /* tables, odd keys: as many are named */

/* What Dict is, if not what we can work with: NULL. No row: there is none. */
static const char dict_verdict[] =
    "SELECT CASE"
    " WHEN type = 'view' THEN 'a view'"
    " WHEN sql LIKE 'CREATE VIRTUAL%' THEN 'a virtual table'"
    " WHEN (SELECT wr FROM pragma_table_list('Dict') WHERE schema = 'main') THEN 'a table without "
    "row numbers'"
    " WHEN (SELECT count(*) <> 2 OR sum(hidden = 0 AND lower(name) IN ('key', 'value')) <> 2"
    "  FROM pragma_table_xinfo('Dict')) THEN 'a table with other columns than key and value'"
    " WHEN (SELECT count(*) <> 1 OR sum(lower(x.name) = 'key' AND x.coll = 'BINARY' AND NOT "
    "l.partial) <> 1"
    "  FROM pragma_index_list('Dict') AS l JOIN pragma_index_xinfo(l.name) AS x ON x.\"key\""
    "  WHERE l.\"unique\") THEN 'a table in which not the key is unique'"
    " WHEN sql LIKE '%CHECK%' THEN 'a table with a CHECK'"
    " END FROM sqlite_master WHERE type IN ('table', 'view') AND name = 'Dict' COLLATE NOCASE";

static const char other_tables[] = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
                                   "AND name <> 'Dict' COLLATE NOCASE"
                                   " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";

/* Two looks at the index: with OR, SQLite reads all of it. */
static const char odd_keys[] =
    "SELECT typeof(key) || ' ' || substr(quote(key), 1, 60) FROM Dict WHERE key < x''"
    " UNION ALL SELECT 'null NULL' FROM Dict WHERE key IS NULL";

/* The first names of a list, and how many there are. */
struct names {
    struct buffer text;
    unsigned count;
};

static bool add_name(void *context, struct bytes name)
{
    struct names *names = context;

    if (names->count++ < NAMED) {
        if (names->count > 1)
            buffer_add_string(&names->text, ", ");
        log_escape(name, &names->text);
    }
    return true;
}

static int collect_names(struct sqlite_file *file, const char *sql, struct names *names)
{
    int status;

    *names = (struct names){.text = BUFFER_INIT};
    status = sqlite_file_each(file, sql, add_name, names);
    if (names->count > NAMED)
        buffer_printf(&names->text, " and %u more", names->count - NAMED);
    buffer_add_byte(&names->text, '\0');
    return status ? status : buffer_status(&names->text);
}

static int refuse_other(struct sqlite_file *file, const char *path, struct failure *failure)
{
    struct names tables;
    int status = collect_names(file, other_tables, &tables);

    if (!status && tables.count)
        status =
            failure_set(failure, -EMEDIUMTYPE, 0,
                        "%s is an SQLite database with the %s %s, not one of dbm.sqlite3", path,
                        tables.count == 1 ? "table" : "tables", (const char *)tables.text.data);
    else if (!status)
        status =
            failure_set(failure, -EMEDIUMTYPE, 0, "%s is an SQLite database without tables", path);
    buffer_release(&tables.text);
    return status;
}

struct verdict {
    bool found; /* a Dict */
    struct buffer objection;
};

static bool take_verdict(void *context, struct bytes text)
{
    struct verdict *verdict = context;

    verdict->found = true;
    buffer_add(&verdict->objection, text);
    buffer_add_byte(&verdict->objection, '\0');
    return false;
}

/* Also the first look into the file. */
int sqlite_schema_judge(struct sqlite_file *file, const char *path, struct failure *failure)
{
    struct verdict verdict = {.objection = BUFFER_INIT};
    int status = sqlite_file_each(file, dict_verdict, take_verdict, &verdict);

    if (status)
        status = sqlite_file_explain(file, failure);
    else if (!verdict.found)
        status = refuse_other(file, path, failure);
    else
        status = buffer_status(&verdict.objection);
    if (!status && verdict.objection.size > 1)
        status = failure_set(failure, -EMEDIUMTYPE, 0,
                             "%s is no database of dbm.sqlite3: its Dict is %s", path,
                             (const char *)verdict.objection.data);
    buffer_release(&verdict.objection);
    return status;
}

/* The first names of a list, and how many there are. */
static int take_names(struct sqlite_file *file, const char *sql, struct buffer *out,
                      unsigned *count)
{
    struct names names;
    int status = collect_names(file, sql, &names);

    *count = names.count;
    if (!status)
        buffer_add(out, bytes_part(buffer_bytes(&names.text), 0, names.text.size - 1));
    buffer_release(&names.text);
    return status;
}

void sqlite_schema_note(struct sqlite_file *file, struct buffer *notes)
{
    struct buffer names = BUFFER_INIT;
    unsigned count;

    if (!take_names(file, odd_keys, &names, &count) && count) {
        buffer_printf(
            notes, "keys that are not BLOBs (%u), which Python can't find either, are left alone: ",
            count);
        buffer_add(notes, buffer_bytes(&names));
        buffer_add_byte(notes, '\n');
    }
    buffer_clear(&names);
    if (!take_names(file, other_tables, &names, &count) && count) {
        buffer_add_string(notes, "other tables, which are left alone: ");
        buffer_add(notes, buffer_bytes(&names));
        buffer_add_byte(notes, '\n');
    }
    buffer_release(&names);
}
