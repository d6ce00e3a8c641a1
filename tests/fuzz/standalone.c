/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target without an engine: on each file that is named, and on each file of a directory that is named. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

static unsigned long inputs, failures;

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0;
    struct stat info;

    if (file == NULL || fstat(fileno(file), &info) < 0 || !S_ISREG(info.st_mode)) {
        fprintf(stderr, "%s: %s\n", path, file == NULL ? strerror(errno) : "not a file");
        failures++;
    } else {
        /* Of the exact size, so that a byte too far is seen. */
        data = malloc((size_t)info.st_size);
        size = data != NULL ? fread(data, 1, (size_t)info.st_size, file) : 0;
        LLVMFuzzerTestOneInput(data, size);
        inputs++;
    }
    free(data);
    if (file != NULL)
        fclose(file);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void run(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, not_hidden, alphasort);

    if (count < 0) {
        run_file(path);
        return;
    }
    for (int i = 0; i < count; i++) {
        char name[4096];

        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        run_file(name);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    printf("%lu inputs\n", inputs);
    if (inputs == 0)
        fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", argv[0]);
    return inputs > 0 && failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
