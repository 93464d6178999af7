#define _POSIX_C_SOURCE 200809L

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory) {
    if (memory == NULL) {
        fputs("run_scripts: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

void *allocate(size_t count, size_t size) {
    return checked(calloc(count > 0 ? count : 1, size));
}

void *resize(void *memory, size_t count, size_t size) {
    return checked(count <= SIZE_MAX / size ? realloc(memory, count * size) : NULL);
}

char *copy_text(const char *text, size_t len) {
    char *copy = allocate(len + 1, 1);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    return copy;
}

char *join_path(const char *directory, const char *name) {
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = allocate(size, 1);
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    size_t capacity = 4096;
    size_t got;
    char *content = allocate(capacity, 1);
    *len = 0;
    while ((got = fread(content + *len, 1, capacity - *len - 1, file)) > 0) {
        *len += got;
        if (*len + 1 == capacity) {
            capacity *= 2;
            content = resize(content, capacity, 1);
        }
    }
    int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error != 0) {
        free(content);
        errno = error;
        return NULL;
    }
    content[*len] = '\0';
    return content;
}

void list_add(list_t *list, const char *text) {
    list->items = resize(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = copy_text(text, strlen(text));
}

static bool ends_with(const char *text, const char *suffix) {
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);
    return len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool list_add_files(list_t *list, const char *directory, const char *suffix) {
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        return false;
    }
    size_t before = list->count;
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.' && ends_with(entry->d_name, suffix)) {
            char *path = join_path(directory, entry->d_name);
            list_add(list, path);
            free(path);
        }
    }
    closedir(stream);
    if (list->count > before) {
        qsort(list->items + before, list->count - before, sizeof *list->items, compare_texts);
    }
    return true;
}

void list_free(list_t *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (list_t){0};
}
