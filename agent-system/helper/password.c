/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passwords by chpasswd, which knows PAM, the rules of the distribution and how to lock the files. */
#include "helperverbs.h"

#include <gio/gio.h>
#include <string.h>

char *password_set(const char *const *words, G_GNUC_UNUSED GPtrArray *reply)
{
    const char *user = words[0], *password = words[2];
    const char *encrypted = g_str_equal(words[1], "crypted") ? "--encrypted" : NULL;
    g_autofree char *line = g_strdup_printf("%s:%s\n", user, password);
    g_autoptr(GBytes) input = g_bytes_new(line, strlen(line));
    g_autoptr(GBytes) output = NULL;
    g_autoptr(GError) error = NULL;

    /* Else there would be more than one line, or another user's. */
    if (strchr(password, '\n'))
        return g_strdup("forbidden characters in raw password");
    if (strpbrk(user, ":\n"))
        return g_strdup("forbidden characters in username");

    g_autoptr(GSubprocess) process =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                             G_SUBPROCESS_FLAGS_STDERR_MERGE,
                         &error, "chpasswd", encrypted, NULL);

    /* It may end before it has read its line. */
    if (process && g_subprocess_communicate(process, input, NULL, &output, NULL, NULL) &&
        g_subprocess_get_successful(process))
        return NULL;

    g_autofree char *said = output ? g_utf8_make_valid(g_bytes_get_data(output, NULL), (gssize)g_bytes_get_size(output))
                                   : g_strdup("");
    const char *why = process ? g_strchomp(said) : error->message;

    return g_strdup_printf("child process has failed to set user password: %s", why);
}
