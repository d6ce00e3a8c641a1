/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert.h"

#include "pipefetch.h"
#include "terminal.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <unistd.h>

static const char *const kinds[SELECTION_TYPES] = {
    [VD_AGENT_CLIPBOARD_IMAGE_PNG] = "png",
    [VD_AGENT_CLIPBOARD_IMAGE_BMP] = "bmp",
    [VD_AGENT_CLIPBOARD_IMAGE_TIFF] = "tiff",
    [VD_AGENT_CLIPBOARD_IMAGE_JPG] = "jpeg",
};
/* JPEG last, which has lost something. */
static const guint32 best_first[] = { VD_AGENT_CLIPBOARD_IMAGE_PNG, VD_AGENT_CLIPBOARD_IMAGE_TIFF,
                                      VD_AGENT_CLIPBOARD_IMAGE_BMP, VD_AGENT_CLIPBOARD_IMAGE_JPG };

typedef struct Job {
    Convert *convert; /* NULL: forgotten */
    GSubprocess *process;
    gboolean exited, failed, fetched;
    SinkEnd how;
    GBytes *value;
    ClipboardFetched done;
    gpointer user;
} Job;

struct Convert {
    char *program;
    PipeFetch *output;
    GPtrArray *jobs;
};

static void job_free(Job *job)
{
    g_object_unref(job->process);
    g_clear_pointer(&job->value, g_bytes_unref);
    g_free(job);
}

/* It ends when the output has ended and the program: an output that breaks off is no image. */
static void settle(Job *job)
{
    if (!job->exited || !job->fetched)
        return;
    if (job->how == SINK_DONE && job->failed) {
        job->how = SINK_EMPTY;
        g_clear_pointer(&job->value, g_bytes_unref);
    }
    g_ptr_array_remove_fast(job->convert->jobs, job);
    job->done(job->how, g_steal_pointer(&job->value), job->user);
    job_free(job);
}

static void on_output(SinkEnd how, GBytes *value, gpointer user)
{
    Job *job = user;
    job->how = how;
    job->value = value;
    job->fetched = TRUE;
    if (how != SINK_DONE)
        g_subprocess_force_exit(job->process);
    settle(job);
}

static void on_exited(GObject *process, GAsyncResult *result, gpointer user)
{
    Job *job = user;
    g_autoptr(GError) error = NULL;
    job->failed = !g_subprocess_wait_check_finish(G_SUBPROCESS(process), result, &error);
    job->exited = TRUE;
    if (job->failed)
        g_debug("an image was not converted: %s", error->message);
    if (job->convert == NULL)
        job_free(job);
    else
        settle(job);
}

guint32 convert_widen(const Convert *convert, guint32 types)
{
    gboolean image = FALSE;
    guint32 all = 0;
    for (guint32 type = 0; type < SELECTION_TYPES; type++) {
        image = image || (kinds[type] != NULL && (types & 1u << type) != 0);
        all |= kinds[type] != NULL ? 1u << type : 0;
    }
    return image && access(convert->program, X_OK) == 0 ? types | all : types;
}

guint32 convert_source(guint32 types, guint32 wanted)
{
    for (gsize i = 0; wanted < SELECTION_TYPES && kinds[wanted] != NULL && i < G_N_ELEMENTS(best_first); i++) {
        if (types & 1u << best_first[i])
            return best_first[i];
    }
    return VD_AGENT_CLIPBOARD_NONE;
}

gboolean convert_run(Convert *convert, GBytes *value, guint32 from, guint32 to, gsize limit, ClipboardFetched done,
                     gpointer user)
{
    g_autoptr(GError) error = NULL;
    int input[2], output[2];
    if (convert->jobs->len >= CONVERT_MAX || !g_unix_open_pipe(input, FD_CLOEXEC, NULL))
        return FALSE;
    if (!g_unix_open_pipe(output, FD_CLOEXEC, NULL)) {
        close(input[0]);
        close(input[1]);
        return FALSE;
    }
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_SILENCE);
    g_subprocess_launcher_take_stdin_fd(launcher, input[0]);
    g_subprocess_launcher_take_stdout_fd(launcher, output[1]);
    GSubprocess *process =
        g_subprocess_launcher_spawn(launcher, &error, convert->program, kinds[from], kinds[to], NULL);
    g_subprocess_launcher_close(launcher);
    if (process == NULL) {
        g_warning("%s", error->message);
        close(input[1]);
        close(output[0]);
        return FALSE;
    }
    terminal_write(input[1], value, g_task_new(NULL, NULL, NULL, NULL)); /* up to the end of the program */
    Job *job = g_new0(Job, 1);
    job->convert = convert;
    job->process = process;
    job->done = done;
    job->user = user;
    g_ptr_array_add(convert->jobs, job);
    g_subprocess_wait_check_async(process, NULL, on_exited, job);
    if (!pipefetch_add(convert->output, output[0], MIME_FORM_RAW, limit, on_output, job)) {
        convert_cancel(convert, user);
        return FALSE;
    }
    return TRUE;
}

/* The process is waited for, but nobody hears of it. */
static void forget(Job *job)
{
    pipefetch_cancel(job->convert->output, job);
    g_subprocess_force_exit(job->process);
    job->convert = NULL;
    if (job->exited)
        job_free(job);
}

void convert_cancel(Convert *convert, gpointer user)
{
    for (guint i = convert->jobs->len; i-- > 0;) {
        Job *job = convert->jobs->pdata[i];
        if (job->user != user)
            continue;
        g_ptr_array_remove_index_fast(convert->jobs, i);
        forget(job);
    }
}

Convert *convert_new(const char *program, guint timeout_ms)
{
    Convert *convert = g_new0(Convert, 1);
    convert->program = g_strdup(program != NULL ? program : "");
    convert->output = pipefetch_new(timeout_ms);
    convert->jobs = g_ptr_array_new();
    return convert;
}

void convert_free(Convert *convert)
{
    while (convert->jobs->len > 0)
        convert_cancel(convert, ((Job *) convert->jobs->pdata[0])->user);
    g_ptr_array_unref(convert->jobs);
    pipefetch_free(convert->output);
    g_free(convert->program);
    g_free(convert);
}
