/*
 * Runs a fuzz target over every file of the folders that are named, as an ordinary test built with
 * any compiler. Each input gets an allocation of exactly its size.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

enum { INPUT_MAX = 1 << 20, PATH_SIZE = 4096 };

static bool run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    AUTO(mem) void *all = malloc(INPUT_MAX);

    if (file == NULL || all == NULL) {
        perror(path);
        return false;
    }
    size_t size = fread(all, 1, INPUT_MAX, file);
    (void)fclose(file);
    AUTO(mem) void *input = malloc(size > 0 ? size : 1);
    CHECK(input != NULL);
    memcpy(input, all, size);
    (void)fprintf(stderr, "%s\n", path); /* the last line names the input that crashed */
    (void)LLVMFuzzerTestOneInput(input, size);
    return true;
}

/* Runs the files of a folder; the number of them, or -1. */
static int run_folder(const char *folder)
{
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, NULL, alphasort);
    int count = 0;

    if (found < 0) {
        perror(folder);
        return -1;
    }
    for (int i = 0; i < found; i++) {
        char path[PATH_SIZE];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && run_file(path)) {
            count++;
        }
    }
    free(entries);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int count = run_folder(argv[i]);
        if (count <= 0) {
            (void)fprintf(stderr, "%s: nothing to replay\n", argv[i]);
            return 1;
        }
        total += count;
    }
    (void)printf("%d inputs replayed\n", total);
    return total > 0 ? 0 : 1;
}
