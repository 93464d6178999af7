#include "csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

/* Reads the cell at `*next` in place: takes its quotes off, ends it with a NUL, and moves `*next` behind its
 * separator. Gives the separator: a comma, a line feed, or 0 at the end of the file. */
static char read_cell(char **next, char **cell) {
    char *from = *next;
    char *to = from;
    *cell = to;
    if (*from == '"') {
        from++;
        while (*from != '\0' && (*from != '"' || from[1] == '"')) {
            from += *from == '"';
            *to++ = *from++;
        }
        from += *from == '"';
    }
    while (*from != '\0' && *from != ',' && *from != '\n') {
        *to++ = *from++;
    }
    char separator = *from;
    *next = separator != '\0' ? from + 1 : from;
    if (separator != ',' && to > *cell && to[-1] == '\r') {
        to--;
    }
    *to = '\0';
    return separator;
}

/* Adds the cells of the next line; gives their number. */
static size_t read_line(csv_t *csv, char **next, size_t *count, size_t *capacity) {
    size_t before = *count;
    char separator;
    do {
        if (*count == *capacity) {
            *capacity = *capacity * 2 + 64;
            csv->cells = resize(csv->cells, *capacity, sizeof *csv->cells);
        }
        separator = read_cell(next, &csv->cells[(*count)++]);
    } while (separator == ',');
    return *count - before;
}

bool csv_read(csv_t *csv, const char *path, char *message, size_t size) {
    *csv = (csv_t){0};
    size_t len;
    csv->content = read_file(path, &len);
    if (csv->content == NULL) {
        snprintf(message, size, "%s: %s", path, strerror(errno));
        return false;
    }
    char *next = csv->content;
    size_t count = 0;
    size_t capacity = 0;
    csv->columns = read_line(csv, &next, &count, &capacity);
    while (*next != '\0') {
        size_t cells = read_line(csv, &next, &count, &capacity);
        csv->rows++;
        if (cells != csv->columns) {
            snprintf(message, size, "%s: row %zu has %zu cells, but there are %zu columns", path, csv->rows, cells,
                     csv->columns);
            csv_free(csv);
            return false;
        }
    }
    return true;
}

const char *csv_column(const csv_t *csv, size_t column) {
    return csv->cells[column];
}

const char *csv_cell(const csv_t *csv, size_t row, size_t column) {
    return csv->cells[(row + 1) * csv->columns + column];
}

void csv_free(csv_t *csv) {
    free(csv->cells);
    free(csv->content);
    *csv = (csv_t){0};
}
