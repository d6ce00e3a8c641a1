/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * packages.h - jobs for PackageKit, which go on while the host asks for other things. A job is one or more of
 * PackageKit's transactions, one after the other: what is to be found first, then what is to be done with it.
 *
 * PACKAGES_JOBS_MAX jobs are known, the oldest that has ended is forgotten for a new one. A job that is under way when
 * the process ends is forgotten too; the transaction that PackageKit has goes on then.
 */
#ifndef PACKAGES_H
#define PACKAGES_H

#include "remote.h"

#include <jansson.h>

#define PACKAGES_JOBS_MAX 8
/* In the list of a job; what else was found is done all the same. */
#define PACKAGES_LISTED_MAX 1024

#define PACKAGES_TITLE "PackageKit"
#define PACKAGES_NAME "org.freedesktop.PackageKit"
#define PACKAGES_PATH "/org/freedesktop/PackageKit"
#define PACKAGES_TRANSACTION PACKAGES_NAME ".Transaction"

typedef struct Packages Packages;
typedef struct PackagesJob PackagesJob;

typedef enum PackagesKind {
    PACKAGES_REFRESH, /* the lists of what there is */
    PACKAGES_LIST,    /* updates */
    PACKAGES_INSTALL,
    PACKAGES_REMOVE,
    PACKAGES_UPDATE,
    PACKAGES_OFFLINE, /* download updates, to be installed at the next start */
} PackagesKind;

/* What is wanted; borrowed. */
typedef struct PackagesWish {
    PackagesKind kind;
    const char *command;   /* static, for the audit */
    const json_t *names;   /* NULL or empty: all updates */
    gboolean simulate;     /* only find out what would be done */
    gboolean force;        /* refresh: also what is fresh; remove: also what nothing else needs then */
} PackagesWish;

Packages *packages_new(Bus *bus);
void packages_free(Packages *packages);

/* While file systems are frozen no job begins a step; what PackageKit is at goes on. */
void packages_set_frozen(Packages *packages, gboolean frozen);

/* Whether a job can begin. */
gboolean packages_have_room(const Packages *packages);

/* Begin a job, when there is room: `owner` is the unique name of PackageKit, `path` a new transaction of its. */
gint64 packages_start(Packages *packages, const PackagesWish *wish, const char *owner, const char *path);

/* Of a number; NULL if it is not known. A job lives until another one begins. */
PackagesJob *packages_find(const Packages *packages, gint64 number);

/* State, packages and error. */
json_t *packages_job_describe(const PackagesJob *job);

/* Its transaction was cancelled, as far as PackageKit could: nothing more is to be begun. */
void packages_job_stop(PackagesJob *job);

gboolean packages_job_is_running(const PackagesJob *job);

/* The transaction under way: its owner, and its path or NULL if there is none right now; borrowed. */
const char *packages_job_owner(const PackagesJob *job);
const char *packages_job_transaction(const PackagesJob *job);

#endif
