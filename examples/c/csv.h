/* Tables in CSV files (RFC 4180): the first line names the columns. */

#ifndef CSV_H
#define CSV_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    /* The content of the file. The cells point into it. */
    char *content;
    /* The names of the columns, then row after row. */
    char **cells;
    size_t columns;
    /* Rows, not counting the names. */
    size_t rows;
} csv_t;

/* Reads a file. False on failure: `message`, a place of `size` bytes, says why, and `csv` is empty. */
bool csv_read(csv_t *csv, const char *path, char *message, size_t size);

/* The name of a column; lent by the table. */
const char *csv_column(const csv_t *csv, size_t column);

/* The text of a cell; lent by the table. */
const char *csv_cell(const csv_t *csv, size_t row, size_t column);

void csv_free(csv_t *csv);

#endif
