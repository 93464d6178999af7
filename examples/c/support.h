/* What C leaves to its programs: memory, files, directories. */

#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory, freed with free(). Never NULL: without memory the program ends. */
void *allocate(size_t count, size_t size);

/* As realloc(), but never NULL. */
void *resize(void *memory, size_t count, size_t size);

/* A copy with a NUL behind it. */
char *copy_text(const char *text, size_t len);

/* `directory/name`. */
char *join_path(const char *directory, const char *name);

/* The part of a path behind its last slash; lent by the path. */
const char *file_name(const char *path);

/* The content of a file, with a NUL behind it. NULL on failure, and errno says why. */
char *read_file(const char *path, size_t *len);

typedef struct {
    char **items;
    size_t count;
} list_t;

/* Adds a text, which is copied. */
void list_add(list_t *list, const char *text);

/* Adds the paths of the files of a directory whose names end in `suffix`, in order. False on failure, and errno says
 * why. */
bool list_add_files(list_t *list, const char *directory, const char *suffix);

void list_free(list_t *list);

#endif
