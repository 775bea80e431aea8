#include "base/file.h"

#include "unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

/* Reading */

static void test_read_takes_the_whole_file(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "f", "a\0b\n", 4, 0600);
    AUTO(buf) struct buf text = BUF_INIT(10);
    struct err err = ERR_INIT;

    assert_ok(file_read(path, &text, &err), &err);
    assert_int_equal(text.len, 4);
    assert_memory_equal(text.data, "a\0b\n", 4);
}

static void test_read_of_an_empty_file(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "f", "");
    AUTO(buf) struct buf text = BUF_INIT(10);
    struct err err = ERR_INIT;

    assert_ok(file_read(path, &text, &err), &err);
    assert_int_equal(text.len, 0);
}

static void test_read_of_exactly_the_maximum(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "f", "0123456789");
    AUTO(buf) struct buf text = BUF_INIT(10);
    struct err err = ERR_INIT;

    assert_ok(file_read(path, &text, &err), &err);
    assert_string_equal(buf_str(&text), "0123456789");
}

static void test_read_refuses_a_larger_file(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "f", "0123456789a");
    AUTO(buf) struct buf text = BUF_INIT(10);
    struct err err = ERR_INIT;

    assert_fails(file_read(path, &text, &err), &err, E_IO, "larger than the 10 bytes");
    assert_contains(err.msg, path);
}

static void test_read_stops_at_the_maximum_of_an_endless_file(void **state UNUSED)
{
    AUTO(buf) struct buf text = BUF_INIT(100000);
    struct err err = ERR_INIT;

    assert_fails(file_read("/dev/zero", &text, &err), &err, E_IO, "/dev/zero is larger");
}

static void test_read_of_nothing_names_the_path(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "missing");
    AUTO(buf) struct buf text = BUF_INIT(10);
    struct err err = ERR_INIT;

    assert_fails(file_read(path, &text, &err), &err, E_IO, "No such file");
    assert_contains(err.msg, path);
}

static void test_read_of_a_directory_fails(void **state UNUSED)
{
    AUTO(buf) struct buf text = BUF_INIT(10);
    struct err err = ERR_INIT;

    assert_fails(file_read(tmp_dir(), &text, &err), &err, E_IO, "Is a directory");
}

/* Atomic writing */

static void write_text(const char *path, const char *text, mode_t mode)
{
    struct err err = ERR_INIT;

    assert_ok(file_write_atomic(path, text, strlen(text), mode, &err), &err);
}

static void test_write_creates_with_the_mode(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_join(dir, "f");

    write_text(path, "new", 0640);
    assert_string_equal(tmp_read(path), "new");
    assert_int_equal(mode_of(path), S_IFREG | 0640);
    assert_int_equal(tmp_count(dir), 1);
}

static void test_write_replaces_content_and_mode(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_file(dir, "f", "something longer", 16, 0644);

    write_text(path, "short", 0600);
    assert_string_equal(tmp_read(path), "short");
    assert_int_equal(mode_of(path), S_IFREG | 0600);
    assert_int_equal(tmp_count(dir), 1);
}

static void test_write_ignores_the_umask(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "f");
    mode_t before = umask(077);

    write_text(path, "x", 0644);
    (void)umask(before);
    assert_int_equal(mode_of(path), S_IFREG | 0644);
}

static void test_write_replaces_a_link_instead_of_following_it(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *target = tmp_text(dir, "target", "untouched");
    const char *path = tmp_join(dir, "link");

    assert_int_equal(symlink(target, path), 0);
    write_text(path, "new", 0600);
    assert_string_equal(tmp_read(target), "untouched");
    assert_string_equal(tmp_read(path), "new");
    assert_true(S_ISREG(mode_of(path)));
}

static void test_write_of_nothing_makes_an_empty_file(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "f");

    write_text(path, "", 0600);
    assert_string_equal(tmp_read(path), "");
}

static void test_write_into_a_missing_directory_fails(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "missing/f");
    struct err err = ERR_INIT;

    assert_fails(file_write_atomic(path, "x", 1, 0600, &err), &err, E_IO, "No such file");
    assert_contains(err.msg, path);
}

static void test_failed_write_leaves_no_temporary_file(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_join(dir, "sub");
    struct err err = ERR_INIT;

    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(file_write_atomic(path, "x", 1, 0600, &err), &err, E_IO, "Is a directory");
    assert_int_equal(tmp_count(dir), 1);
}

/* /dev/null must not become a file; a pipe stands in for it, which needs no root. */
static void test_what_is_no_file_is_written_to_and_not_replaced(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_join(dir, "pipe");
    struct err err = ERR_INIT;
    struct stat st;
    char got[8] = "";

    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_ok(file_write_atomic(path, "hello", 5, 0600, &err), &err);
    assert_int_equal(read(reader, got, sizeof(got)), 5);
    assert_memory_equal(got, "hello", 5);
    (void)close(reader);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(tmp_count(dir), 1);
}

static void test_credential_may_be_readable_by_its_access_list(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "pin", "1234\n", 5, 0440);
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_fails(file_read_secret(path, &secret, &err), &err, E_IO, "open to other users");
    assert_ok(file_read_credential(path, &secret, &err), &err);
    assert_int_equal(secret.len, 4);
    assert_int_equal(chmod(path, 0444), 0);
    assert_fails(file_read_credential(path, &secret, &err), &err, E_IO, "open to other users");
}

static void test_write_to_a_bare_name_uses_the_working_directory(void **state UNUSED)
{
    const char *dir = tmp_dir();
    char before[4096];

    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(dir), 0);
    write_text("bare", "x", 0600);
    assert_int_equal(chdir(before), 0);
    assert_string_equal(tmp_read(tmp_join(dir, "bare")), "x");
}

/* Secrets */

static bool read_secret(const char *path, struct secret *out, struct err *err)
{
    return file_read_secret(path, out, err);
}

static void test_secret_file_0600_is_read_without_its_newline(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "pin", "1234\n", 5, 0600);
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_ok(read_secret(path, &secret, &err), &err);
    assert_string_equal(secret_expose(&secret), "1234");
}

static void test_secret_file_0400_is_read(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "pin", "1234\r\n", 6, 0400);
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_ok(read_secret(path, &secret, &err), &err);
    assert_string_equal(secret_expose(&secret), "1234");
}

static void test_secret_file_open_to_others_is_refused(void **state UNUSED)
{
    static const mode_t modes[] = {0644, 0640, 0660, 0604, 0620, 0610, 0601};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const char *path = tmp_file(tmp_dir(), "pin", "1234", 4, modes[i]);
        AUTO(secret) struct secret secret = SECRET_INIT;
        struct err err = ERR_INIT;
        assert_fails(read_secret(path, &secret, &err), &err, E_IO, "open to other users");
        assert_contains(err.msg, tmp_printf("(mode %04o)", (unsigned)modes[i]));
        assert_contains(err.msg, tmp_printf("'chmod 600 %s'", path));
        assert_lacks(err.msg, "1234'");
        assert_false(secret_is_set(&secret));
    }
}

static void test_secret_file_of_another_user_is_refused(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "pin", "1234", 4, 0600);
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chown(path, 12345, 12345), 0);
    assert_fails(read_secret(path, &secret, &err), &err, E_IO, "belongs to user 12345");
}

static void test_secret_in_a_directory_is_refused(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_fails(read_secret(tmp_dir(), &secret, &err), &err, E_IO, "neither a file nor a pipe");
}

static void test_secret_in_a_device_is_refused(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_fails(read_secret("/dev/null", &secret, &err), &err, E_IO, "neither a file nor a pipe");
}

static void test_missing_secret_file_is_named(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "pin");
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_fails(read_secret(path, &secret, &err), &err, E_IO, "opening the secret file");
    assert_contains(err.msg, path);
}

static bool write_fifo(void *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, "12", 2) == 2 && write(fd, "34\n", 3) == 3;

    (void)close(fd);
    return ok;
}

static void test_secret_comes_through_a_pipe(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "fifo");
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(mkfifo(path, 0600), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(write_fifo((void *)(uintptr_t)path) ? 0 : 1);
    }
    assert_ok(read_secret(path, &secret, &err), &err);
    assert_string_equal(secret_expose(&secret), "1234");
}

static void test_secret_longer_than_the_maximum_is_refused(void **state UNUSED)
{
    char text[SECRET_MAX + 1];
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    memset(text, 'a', sizeof(text));
    const char *path = tmp_file(tmp_dir(), "pin", text, sizeof(text), 0600);
    assert_fails(read_secret(path, &secret, &err), &err, E_USAGE, "longer than");
    assert_contains(err.msg, path);
    assert_false(secret_is_set(&secret));
}

static void test_empty_secret_file_is_an_empty_secret(void **state UNUSED)
{
    const char *path = tmp_text(tmp_dir(), "pin", "");
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_ok(read_secret(path, &secret, &err), &err);
    assert_true(secret_is_set(&secret));
    assert_int_equal(secret.len, 0);
}

static void test_secret_descriptor_is_read_to_its_end_and_stays_open(void **state UNUSED)
{
    int fds[2];
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "1\n2\n", 4), 4);
    (void)close(fds[1]);
    assert_ok(file_read_secret_fd(fds[0], &secret, &err), &err);
    assert_string_equal(secret_expose(&secret), "1\n2");
    assert_int_equal(close(fds[0]), 0);
}

static void test_secret_descriptor_that_is_closed_fails(void **state UNUSED)
{
    AUTO(secret) struct secret secret = SECRET_INIT;
    struct err err = ERR_INIT;

    assert_fails(file_read_secret_fd(-1, &secret, &err), &err, E_IO, "descriptor -1");
    assert_false(secret_is_set(&secret));
}

/* Directories and names */

static void test_private_directories_are_made_with_their_parents(void **state UNUSED)
{
    const char *top = tmp_dir();
    const char *path = tmp_join(top, "a/b/c");
    struct err err = ERR_INIT;

    assert_ok(file_make_private_dir(path, &err), &err);
    assert_int_equal(mode_of(path), S_IFDIR | 0700);
    assert_int_equal(mode_of(tmp_join(top, "a")), S_IFDIR | 0700);
}

static void test_existing_directory_keeps_its_mode(void **state UNUSED)
{
    const char *path = tmp_join(tmp_dir(), "d");
    struct err err = ERR_INIT;

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0755), 0);
    assert_ok(file_make_private_dir(path, &err), &err);
    assert_int_equal(mode_of(path), S_IFDIR | 0755);
}

static void test_trailing_and_double_slashes_do_no_harm(void **state UNUSED)
{
    const char *top = tmp_dir();
    struct err err = ERR_INIT;

    assert_ok(file_make_private_dir(tmp_join(top, "a//b/"), &err), &err);
    assert_true(file_exists(tmp_join(top, "a/b")));
    assert_ok(file_make_private_dir("/", &err), &err);
}

static void test_file_in_the_way_of_a_directory_is_an_error(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_text(dir, "f", "");
    struct err err = ERR_INIT;

    assert_fails(file_make_private_dir(path, &err), &err, E_IO, "is not a directory");
    assert_fails(file_make_private_dir(tmp_join(path, "d"), &err), &err, E_IO, path);
}

/* In a child: reading before and behind the empty text is what could happen. */
static bool make_nameless_directory(void *ctx UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(str) char *path = strdup("");

    return !file_make_private_dir(path, &err) && err.code == E_IO;
}

static void test_directory_without_a_name_is_an_error(void **state UNUSED)
{
    assert_child_ok(unit_child(make_nameless_directory, NULL));
}

static void test_join_uses_one_slash(void **state UNUSED)
{
    AUTO(str) char *a = file_join("/a", "b");
    AUTO(str) char *b = file_join("/a/", "b");
    AUTO(str) char *c = file_join("/", "b");

    assert_string_equal(a, "/a/b");
    assert_string_equal(b, "/a/b");
    assert_string_equal(c, "/b");
}

static void test_rewrite_keeps_mode_and_owner(void **state UNUSED)
{
    const char *path = tmp_file(tmp_dir(), "f", "old", 3, 0640);
    bool is_root = geteuid() == 0;
    struct err err = ERR_INIT;
    struct stat st;

    if (is_root) {
        assert_int_equal(chown(path, 1234, 2345), 0);
    }
    assert_ok(file_rewrite(path, "new", 3, &err), &err);
    assert_string_equal(tmp_read(path), "new");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, is_root ? 1234 : geteuid());
    assert_int_equal(st.st_gid, is_root ? 2345 : getegid());
}

static void test_rewrite_is_for_files_that_are_there(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *link = tmp_join(dir, "link");
    const char *path = tmp_text(dir, "f", "old");
    struct err err = ERR_INIT;

    assert_fails(file_rewrite(tmp_join(dir, "none"), "x", 1, &err), &err, E_IO, "examining");
    assert_int_equal(symlink("f", link), 0);
    assert_fails(file_rewrite(link, "x", 1, &err), &err, E_IO, "is no regular file");
    assert_string_equal(tmp_read(path), "old");
    assert_int_equal(tmp_count(dir), 2);
}

static void test_exists_sees_dangling_links(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *path = tmp_join(dir, "link");

    assert_false(file_exists(path));
    assert_int_equal(symlink("/nowhere", path), 0);
    assert_true(file_exists(path));
}

static void put_text(const char *path, const char *text)
{
    struct err err = ERR_INIT;

    assert_ok(file_write_atomic(path, text, strlen(text), 0600, &err), &err);
}

static void assert_text(const char *path, const char *text)
{
    AUTO(buf) struct buf got = BUF_INIT(100);
    struct err err = ERR_INIT;

    assert_ok(file_read(path, &got, &err), &err);
    assert_string_equal(buf_str(&got), text);
}

static void test_put_in_place_leaves_what_is_there(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *temp = tmp_join(dir, "temp");
    const char *path = tmp_join(dir, "path");
    struct err err = ERR_INIT;

    put_text(temp, "new");
    put_text(path, "old");
    assert_fails(file_put_in_place(temp, path, false, &err), &err, E_OBJECT_EXISTS, path);
    assert_text(path, "old");
    err_clear(&err);
    assert_ok(file_put_in_place(temp, path, true, &err), &err);
    assert_text(path, "new");
    assert_false(file_exists(temp));
}

static void test_put_in_place_where_nothing_is(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *temp = tmp_join(dir, "temp");
    struct err err = ERR_INIT;

    put_text(temp, "new");
    assert_ok(file_put_in_place(temp, tmp_join(dir, "path"), false, &err), &err);
    assert_text(tmp_join(dir, "path"), "new");
    assert_false(file_exists(temp));
    assert_fails(file_put_in_place(temp, tmp_join(dir, "other"), false, &err), &err, E_IO, temp);
}

static void test_put_in_place_spares_devices_and_links(void **state UNUSED)
{
    const char *dir = tmp_dir();
    const char *temp = tmp_join(dir, "temp");
    const char *link = tmp_join(dir, "link");
    struct err err = ERR_INIT;

    put_text(temp, "new");
    assert_int_equal(symlink("/dev/null", link), 0);
    assert_fails(file_put_in_place(temp, link, true, &err), &err, E_IO, link);
    assert_true(file_exists(temp) && file_exists(link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_takes_the_whole_file),
        cmocka_unit_test(test_read_of_an_empty_file),
        cmocka_unit_test(test_read_of_exactly_the_maximum),
        cmocka_unit_test(test_read_refuses_a_larger_file),
        cmocka_unit_test(test_read_stops_at_the_maximum_of_an_endless_file),
        cmocka_unit_test(test_read_of_nothing_names_the_path),
        cmocka_unit_test(test_read_of_a_directory_fails),
        cmocka_unit_test(test_write_creates_with_the_mode),
        cmocka_unit_test(test_write_replaces_content_and_mode),
        cmocka_unit_test(test_write_ignores_the_umask),
        cmocka_unit_test(test_write_replaces_a_link_instead_of_following_it),
        cmocka_unit_test(test_write_of_nothing_makes_an_empty_file),
        cmocka_unit_test(test_write_into_a_missing_directory_fails),
        cmocka_unit_test(test_failed_write_leaves_no_temporary_file),
        cmocka_unit_test(test_what_is_no_file_is_written_to_and_not_replaced),
        cmocka_unit_test(test_credential_may_be_readable_by_its_access_list),
        cmocka_unit_test(test_write_to_a_bare_name_uses_the_working_directory),
        cmocka_unit_test(test_secret_file_0600_is_read_without_its_newline),
        cmocka_unit_test(test_secret_file_0400_is_read),
        cmocka_unit_test(test_secret_file_open_to_others_is_refused),
        cmocka_unit_test(test_secret_file_of_another_user_is_refused),
        cmocka_unit_test(test_secret_in_a_directory_is_refused),
        cmocka_unit_test(test_secret_in_a_device_is_refused),
        cmocka_unit_test(test_missing_secret_file_is_named),
        cmocka_unit_test(test_secret_comes_through_a_pipe),
        cmocka_unit_test(test_secret_longer_than_the_maximum_is_refused),
        cmocka_unit_test(test_empty_secret_file_is_an_empty_secret),
        cmocka_unit_test(test_secret_descriptor_is_read_to_its_end_and_stays_open),
        cmocka_unit_test(test_secret_descriptor_that_is_closed_fails),
        cmocka_unit_test(test_private_directories_are_made_with_their_parents),
        cmocka_unit_test(test_existing_directory_keeps_its_mode),
        cmocka_unit_test(test_trailing_and_double_slashes_do_no_harm),
        cmocka_unit_test(test_file_in_the_way_of_a_directory_is_an_error),
        cmocka_unit_test(test_directory_without_a_name_is_an_error),
        cmocka_unit_test(test_join_uses_one_slash),
        cmocka_unit_test(test_exists_sees_dangling_links),
        cmocka_unit_test(test_rewrite_keeps_mode_and_owner),
        cmocka_unit_test(test_rewrite_is_for_files_that_are_there),
        cmocka_unit_test(test_put_in_place_leaves_what_is_there),
        cmocka_unit_test(test_put_in_place_where_nothing_is),
        cmocka_unit_test(test_put_in_place_spares_devices_and_links),
    };

    return UNIT_RUN(tests);
}
