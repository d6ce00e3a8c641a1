/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "files.h"

#include "filestart.h"
#include "incoming.h"
#include "log.h"

#include <errno.h>
#include <string.h>

/* Written to disk at once. Data messages are smaller, and come here in pieces. */
#define BATCH 131072u
#define SILENT_US (300 * (gint64) G_USEC_PER_SEC)
#define SILENT_CHECK_S 60
#define NOTIFICATION 1

typedef struct Transfer {
    guint32 id;
    char *name;
    guint64 size, got; /* announced, and here, written or in the batch */
    Incoming *file;
    gint64 last; /* when something came */
} Transfer;

struct Files {
    FilesPolicy policy;
    FilesPeer peer;
    Notify *notify;
    gpointer user;
    gboolean detailed;     /* statuses may carry details */
    GHashTable *transfers; /* id → Transfer */
    Transfer *current;     /* of the data message under way; NULL: its data are dropped */
    guint8 *batch;         /* there while there are transfers */
    gsize batched;         /* bytes in it, all of one transfer */
    Transfer *owner;       /* that one; NULL when there are none */
    guint silent_id;
    /* What the notification tells: everything since no transfer was under way. */
    struct {
        guint64 size, got;
        guint received, failed;
        char *path; /* of the last one received */
    } told;
    LogPeer client;
};

static void transfer_free(gpointer data)
{
    Transfer *transfer = data;
    incoming_free(transfer->file);
    g_free(transfer->name);
    g_free(transfer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Transfer, transfer_free)

/* Where files go. Asked for each transfer, since user-dirs.dirs may be written while we run. */
static char *directory(const Files *files)
{
    if (files->policy.directory != NULL)
        return g_strdup(files->policy.directory);
    g_reload_user_special_dirs_cache();
    const char *download = g_get_user_special_dir(G_USER_DIRECTORY_DOWNLOAD);
    return download != NULL ? g_strdup(download) : g_build_filename(g_get_home_dir(), "Downloads", NULL);
}

static void send_status(Files *files, guint32 id, VdagentFileStatus status)
{
    VdagentMessage message = { .type = VD_AGENT_FILE_XFER_STATUS, .file_status = status };
    message.file_status.id = id;
    message.file_status.detailed = files->detailed && (status.result == VD_AGENT_FILE_XFER_STATUS_ERROR ||
                                                       status.result == VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE);
    files->peer.send(&message, files->user);
}

static void send_error(Files *files, guint32 id, GIOErrorEnum code)
{
    send_status(files, id, (VdagentFileStatus){ .result = VD_AGENT_FILE_XFER_STATUS_ERROR,
                                                .error_type = VD_AGENT_FILE_XFER_STATUS_ERROR_GLIB_IO,
                                                .error_code = code });
}

static void send_no_space(Files *files, guint32 id, guint64 space)
{
    send_status(files, id, (VdagentFileStatus){ .result = VD_AGENT_FILE_XFER_STATUS_NOT_ENOUGH_SPACE,
                                                .free_space = space });
}

/* `name` is NULL when it is not fit to be shown. */
static void refuse(Files *files, const char *name, const char *why)
{
    g_autofree char *what = name != NULL ? g_strdup_printf("file %s", name) : g_strdup("file");
    log_peer(&files->client, "%s refused: %s", what, why);
    files->peer.refused(what, why, files->user);
}

static void notify(Files *files)
{
    guint active = g_hash_table_size(files->transfers);
    if (active > 0) {
        guint count = active + files->told.received + files->told.failed;
        g_autofree char *summary =
            count == 1 ? g_strdup("Receiving a file") : g_strdup_printf("Receiving %u files", count);
        int progress = (int) (files->told.got / (files->told.size / 100 + 1));
        notify_show(files->notify, NOTIFICATION, summary, "", MIN(progress, 100), FALSE, NULL);
        return;
    }
    g_autofree char *summary = NULL;
    if (files->told.received == 1) {
        g_autofree char *name = g_path_get_basename(files->told.path);
        summary = g_strdup_printf("Received %s", name);
    } else if (files->told.received > 1) {
        summary = g_strdup_printf("Received %u files", files->told.received);
    } else {
        summary = g_strdup("File transfer failed");
    }
    g_autofree char *body =
        files->told.failed > 0 ? g_strdup_printf("%u could not be received.", files->told.failed) : g_strdup("");
    notify_show(files->notify, NOTIFICATION, summary, body, -1, TRUE, files->told.path);
    g_free(files->told.path);
    memset(&files->told, 0, sizeof files->told);
}

/* The transfer is over, what the batch has of it is dropped; the caller tells the client, if anything. */
static void end(Files *files, Transfer *transfer)
{
    if (files->current == transfer)
        files->current = NULL;
    if (files->owner == transfer) {
        files->owner = NULL;
        files->batched = 0;
    }
    g_hash_table_remove(files->transfers, GUINT_TO_POINTER(transfer->id));
    if (g_hash_table_size(files->transfers) == 0) {
        g_clear_handle_id(&files->silent_id, g_source_remove);
        g_clear_pointer(&files->batch, g_free);
    }
    notify(files);
}

static void fail(Files *files, Transfer *transfer, GIOErrorEnum code, const char *why)
{
    refuse(files, transfer->name, why);
    if (code == G_IO_ERROR_NO_SPACE)
        send_no_space(files, transfer->id, incoming_space(transfer->file));
    else
        send_error(files, transfer->id, code);
    files->told.failed++;
    end(files, transfer);
}

static Transfer *find_silent(Files *files)
{
    gint64 limit = g_get_monotonic_time() - SILENT_US;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, files->transfers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Transfer *transfer = value;
        if (transfer->last < limit)
            return transfer;
    }
    return NULL;
}

static gboolean on_silent_check(gpointer user)
{
    Files *files = user;
    Transfer *transfer;
    while ((transfer = find_silent(files)) != NULL)
        fail(files, transfer, G_IO_ERROR_TIMED_OUT, "nothing came for five minutes");
    return files->silent_id != 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* What the transfers under way will still take of the space that there is. */
static guint64 promised(const Files *files)
{
    guint64 bytes = files->batched;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, files->transfers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Transfer *transfer = value;
        bytes += transfer->size - transfer->got;
    }
    return bytes;
}

static void start(Files *files, const VdagentFileStart *message)
{
    g_autoptr(Transfer) transfer = g_new0(Transfer, 1);
    transfer->id = message->id;
    transfer->last = g_get_monotonic_time();
    Transfer *same = g_hash_table_lookup(files->transfers, GUINT_TO_POINTER(message->id));
    if (same != NULL) {
        fail(files, same, G_IO_ERROR_EXISTS, "its number was used for another transfer");
        return;
    }
    if (!files->policy.enabled) {
        refuse(files, NULL, "disabled by configuration");
        send_status(files, message->id, (VdagentFileStatus){ .result = VD_AGENT_FILE_XFER_STATUS_DISABLED });
        return;
    }
    const char *why = filestart_parse(message->keys, message->keys_size, &transfer->name, &transfer->size);
    if (why != NULL) {
        refuse(files, NULL, why);
        send_error(files, message->id, G_IO_ERROR_INVALID_FILENAME);
        return;
    }
    if (g_hash_table_size(files->transfers) >= LIMIT_TRANSFERS) {
        refuse(files, transfer->name, "too many transfers at once");
        send_error(files, message->id, G_IO_ERROR_TOO_MANY_OPEN_FILES);
        return;
    }
    g_autofree char *path = directory(files);
    g_autoptr(GError) error = NULL;
    transfer->file = incoming_new(path, &error);
    if (transfer->file == NULL) {
        refuse(files, transfer->name, error->message);
        send_error(files, message->id, error->code);
        return;
    }
    guint64 space = incoming_space(transfer->file), taken = promised(files);
    space -= MIN(space, taken);
    if (transfer->size > space) {
        refuse(files, transfer->name, "not enough free space");
        send_no_space(files, message->id, space);
        return;
    }
    g_message("receiving \"%s\", %" G_GUINT64_FORMAT " bytes, into %s", transfer->name, transfer->size, path);
    if (files->batch == NULL)
        files->batch = g_malloc(BATCH);
    if (files->silent_id == 0)
        files->silent_id = g_timeout_add_seconds(SILENT_CHECK_S, on_silent_check, files);
    files->told.size += transfer->size;
    send_status(files, transfer->id, (VdagentFileStatus){ .result = VD_AGENT_FILE_XFER_STATUS_CAN_SEND_DATA });
    g_hash_table_insert(files->transfers, GUINT_TO_POINTER(message->id), transfer);
    g_steal_pointer(&transfer);
    notify(files);
}

Files *files_new(const FilesPolicy *policy, const FilesPeer *peer, Notify *notify_or_null, gpointer user)
{
    Files *files = g_new0(Files, 1);
    files->policy = *policy;
    files->peer = *peer;
    files->notify = notify_or_null;
    files->user = user;
    files->client.name = "client";
    files->transfers = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, transfer_free);
    g_autofree char *path = directory(files);
    incoming_clean(path);
    return files;
}

void files_free(Files *files)
{
    if (files == NULL)
        return;
    files_peer(files, NULL);
    g_hash_table_destroy(files->transfers);
    g_free(files);
}

void files_peer(Files *files, const Caps *agreed)
{
    files->detailed = agreed != NULL && caps_has(agreed, VD_AGENT_CAP_FILE_XFER_DETAILED_ERRORS);
    GHashTableIter iter;
    gpointer value;
    while (g_hash_table_iter_init(&iter, files->transfers), g_hash_table_iter_next(&iter, NULL, &value)) {
        Transfer *transfer = value;
        refuse(files, transfer->name, "the client left");
        files->told.failed++;
        end(files, transfer);
    }
}

void files_message(Files *files, const VdagentMessage *message)
{
    if (message->type == VD_AGENT_FILE_XFER_START) {
        start(files, &message->file_start);
    } else if (message->type == VD_AGENT_FILE_XFER_STATUS) {
        Transfer *transfer = g_hash_table_lookup(files->transfers, GUINT_TO_POINTER(message->file_status.id));
        if (transfer == NULL)
            return;
        g_message("\"%s\" was cancelled by the client", transfer->name);
        files->told.failed++;
        end(files, transfer);
    } else {
        log_peer(&files->client, "%s is no message of a file transfer", vdagent_name(message->type));
    }
}

void files_bulk(Files *files, const VdagentMessage *head)
{
    files->current = NULL;
    if (head->type != VD_AGENT_FILE_XFER_DATA)
        return;
    Transfer *transfer = g_hash_table_lookup(files->transfers, GUINT_TO_POINTER(head->file_data.id));
    /* What was on its way when a transfer ended here has no transfer any more: dropped. */
    if (transfer == NULL)
        return;
    if (head->file_data.size > transfer->size - transfer->got)
        fail(files, transfer, G_IO_ERROR_INVALID_DATA, "more data came than announced");
    else
        files->current = transfer;
}

/* Write the batch. Its owner, which need not be the current transfer, ends when that fails. */
static void flush(Files *files)
{
    Transfer *owner = g_steal_pointer(&files->owner);
    gsize size = files->batched;
    files->batched = 0;
    g_autoptr(GError) error = NULL;
    if (owner != NULL && !incoming_write(owner->file, files->batch, size, &error))
        fail(files, owner, error->code, error->message);
}

void files_data(Files *files, const guint8 *data, gsize size)
{
    if (files->owner != files->current && files->current != NULL)
        flush(files);
    while (files->current != NULL && size > 0) {
        gsize piece = MIN(size, BATCH - files->batched);
        memcpy(files->batch + files->batched, data, piece);
        files->owner = files->current;
        files->batched += piece;
        files->current->got += piece;
        files->told.got += piece;
        data += piece;
        size -= piece;
        if (files->batched == BATCH)
            flush(files);
    }
}

static void finish(Files *files, Transfer *transfer)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = incoming_commit(transfer->file, transfer->name, &error);
    if (path == NULL) {
        fail(files, transfer, error->code, error->message);
        return;
    }
    g_message("received %s", path);
    send_status(files, transfer->id, (VdagentFileStatus){ .result = VD_AGENT_FILE_XFER_STATUS_SUCCESS });
    files->told.received++;
    g_free(files->told.path);
    files->told.path = g_steal_pointer(&path);
    end(files, transfer);
}

void files_bulk_end(Files *files)
{
    Transfer *transfer = files->current;
    if (transfer == NULL)
        return;
    transfer->last = g_get_monotonic_time();
    gboolean complete = transfer->got == transfer->size;
    if (complete && files->owner == transfer)
        flush(files);
    /* Not, if that ended it. */
    transfer = g_steal_pointer(&files->current);
    if (complete && transfer != NULL)
        finish(files, transfer);
    else if (!complete && notify_due(files->notify, NOTIFICATION))
        notify(files);
}
