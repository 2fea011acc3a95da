/*
 * Stands between the daemon under test and the C library (ld.so(8), LD_PRELOAD): writes down each change of a file below
 * one directory, each sync and each change of a name, in the order in which they took effect; and fails what a test says
 * must fail.
 *
 * The hard problem: a sync covers what was written before it began and is good when it has ended, while other threads go on
 * writing. The answer: its begin and its end are written down apart. The record is a file that is only appended to, so its
 * own order is the order of things, and the test appends to the same file what was acknowledged to it.
 *
 *   TOKENKEEP_RECORD_BELOW     the directory; all paths of the daemon are absolute
 *   TOKENKEEP_RECORD_TO        the record; nothing is written down where it is not set
 *   TOKENKEEP_RECORD_FAULTS    a file of `struct faults`, mapped: the test changes it while the daemon runs
 *   TOKENKEEP_RECORD_IDENTITY  pairs of (inode here, inode and birth to be told): files that were rebuilt are themselves
 *
 * Never passes on what it does not understand: it writes that down, and the test fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, ZEROS, LENGTH, CREATE, RENAME, REMOVE, SYNC_BEGINS, SYNC_ENDS, UNKNOWN = 12 };

/* As tests/storage/disk/record.rs reads it. */
struct event {
    uint32_t total, kind;
    uint64_t file, one, two, born;
    uint32_t first, second;
};

/* As tests/storage/disk/faults.rs writes it. `*_in` counts down; at 1 the call fails, and all after it. 0 is never. */
struct faults {
    _Atomic int64_t sync_in, sync_errno, write_in, write_errno, write_short, syncs, writes, open_errno;
    /* What is done is done to its end and written down, and nothing is begun any more: then the process may be killed. */
    _Atomic int64_t still, underway;
};

struct identity {
    uint64_t here, told, born;
};

#define FILES 65536
static _Atomic unsigned char watched[FILES];
static char below[PATH_MAX];
static size_t below_length;
static int record = -1;
static struct faults *faults;
static struct identity *identities;
static size_t identity_count;
static _Atomic uint64_t syncs;
static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}
#define REAL(name) ({ static typeof(&name) found; if (!found) found = real(#name); found; })

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("TOKENKEEP_RECORD_BELOW");
    const char *directory = text;
    if (!directory) return;
    if ((text = getenv("TOKENKEEP_RECORD_TO"))) {
        int low = open(text, O_WRONLY | O_APPEND | O_CLOEXEC);
        record = fcntl(low, F_DUPFD_CLOEXEC, 500);
        if (record < 0) abort();
        syscall(SYS_close, low);
    }
    if ((text = getenv("TOKENKEEP_RECORD_FAULTS"))) {
        int file = open(text, O_RDWR | O_CLOEXEC);
        faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (faults == MAP_FAILED) abort();
        syscall(SYS_close, file);
    }
    if ((text = getenv("TOKENKEEP_RECORD_IDENTITY"))) {
        int file = open(text, O_RDONLY | O_CLOEXEC);
        struct stat status;
        if (fstat(file, &status)) abort();
        identity_count = (size_t)status.st_size / sizeof *identities;
        if (identity_count) identities = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (identities == MAP_FAILED) abort();
        syscall(SYS_close, file);
    }
    /* Last: until here nothing is watched. */
    memcpy(below, directory, strlen(directory) + 1);
    below_length = strlen(directory);
}

static int enter(void) {
    if (!faults) return 0;
    faults->underway++;
    while (faults->still) {
        faults->underway--;
        while (faults->still) usleep(1000);
        faults->underway++;
    }
    return 1;
}
static void leave(int *entered) {
    if (*entered) faults->underway--;
}
#define ONE_ACT __attribute__((cleanup(leave), unused)) int entered = enter()

static void note(enum kind kind, uint64_t file, uint64_t one, uint64_t two, uint64_t born, const void *first, size_t first_length,
                 const char *second) {
    if (record < 0) return;
    size_t second_length = second ? strlen(second) : 0;
    struct event event = {(uint32_t)(sizeof event + first_length + second_length), kind, file, one, two, born,
                          (uint32_t)first_length, (uint32_t)second_length};
    struct iovec parts[] = {{&event, sizeof event}, {(void *)first, first_length}, {(void *)second, second_length}};
    int kept = errno;
    if (syscall(SYS_writev, record, parts, 3) != (long)event.total) abort();
    errno = kept;
}

static void not_understood(const char *what) { note(UNKNOWN, 0, 0, 0, 0, what, strlen(what), NULL); }

static int is_watched(int file) { return file >= 0 && file < FILES && watched[file]; }

static int is_below(int directory, const char *path) {
    if (!below_length || !path) return 0;
    if (path[0] != '/') return directory != AT_FDCWD && is_watched(directory);
    return !strncmp(path, below, below_length) && (path[below_length] == '/' || !path[below_length]);
}

/* The directory that holds the name, and the name. */
static uint64_t parent(int directory, const char *path, const char **name) {
    char text[PATH_MAX];
    struct stat status;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    memcpy(text, path, length);
    text[length] = 0;
    char *slash = strrchr(text, '/');
    *name = slash ? path + (slash - text) + 1 : path;
    if (slash) *(slash == text ? slash + 1 : slash) = 0;
    int found = slash ? fstatat(directory, text, &status, 0) : fstat(directory, &status);
    return found ? 0 : status.st_ino;
}

static uint64_t inode(int file) {
    struct stat status;
    return fstat(file, &status) ? 0 : status.st_ino;
}

static uint64_t birth(int directory, const char *path, uint64_t *number) {
    struct statx status;
    if (syscall(SYS_statx, directory, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &status)) return 0;
    *number = status.stx_ino;
    return (uint64_t)status.stx_btime.tv_sec * 1000000000u + status.stx_btime.tv_nsec;
}

/* ---- bytes ---- */

static int is_zeros(const char *bytes, size_t length) {
    return length && !bytes[0] && !memcmp(bytes, bytes + 1, length - 1);
}

static void wrote(int file, const void *bytes, size_t length, uint64_t at) {
    if (length >= 4096 && is_zeros(bytes, length)) note(ZEROS, inode(file), at, length, 0, NULL, 0, NULL);
    else note(WRITE, inode(file), at, 0, 0, bytes, length, NULL);
}

/* Whether a countdown has run out. */
static int strikes(_Atomic int64_t *countdown) {
    int64_t left = *countdown;
    while (left > 1 && !atomic_compare_exchange_weak(countdown, &left, left - 1)) {}
    return left == 1;
}

/* Whether a write must fail, and then with what; may shorten it instead, once. */
static int write_fails(size_t *length) {
    if (!faults) return 0;
    faults->writes++;
    if (!strikes(&faults->write_in)) return 0;
    if (faults->write_short && *length > 1) {
        faults->write_short = 0;
        *length /= 2;
        return 0;
    }
    errno = (int)faults->write_errno;
    return 1;
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (!is_watched(file)) return REAL(write)(file, bytes, length);
    ONE_ACT;
    if (write_fails(&length)) return -1;
    ssize_t done = REAL(write)(file, bytes, length);
    if (done > 0) wrote(file, bytes, (size_t)done, (uint64_t)lseek(file, 0, SEEK_CUR) - (uint64_t)done);
    return done;
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    if (!is_watched(file)) return REAL(pwrite64)(file, bytes, length, at);
    ONE_ACT;
    if (write_fails(&length)) return -1;
    ssize_t done = REAL(pwrite64)(file, bytes, length, at);
    if (done > 0) wrote(file, bytes, (size_t)done, (uint64_t)at);
    return done;
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return pwrite64(file, bytes, length, at); }

/* One part at a time: a short count is allowed. */
ssize_t writev(int file, const struct iovec *parts, int count) {
    if (!is_watched(file)) return REAL(writev)(file, parts, count);
    for (int at = 0; at < count; at++)
        if (parts[at].iov_len) return write(file, parts[at].iov_base, parts[at].iov_len);
    return 0;
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset) {
    if (!is_watched(file)) return REAL(pwritev64)(file, parts, count, offset);
    for (int at = 0; at < count; at++)
        if (parts[at].iov_len) return pwrite64(file, parts[at].iov_base, parts[at].iov_len, offset);
    return 0;
}
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) { return pwritev64(file, parts, count, offset); }

int ftruncate64(int file, off64_t length) {
    if (!is_watched(file)) return REAL(ftruncate64)(file, length);
    ONE_ACT;
    int done = REAL(ftruncate64)(file, length);
    if (!done) note(LENGTH, inode(file), (uint64_t)length, 0, 0, NULL, 0, NULL);
    return done;
}
int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

int fallocate64(int file, int mode, off64_t offset, off64_t length) {
    int done = REAL(fallocate64)(file, mode, offset, length);
    if (!done && is_watched(file) && mode != FALLOC_FL_KEEP_SIZE) not_understood("fallocate");
    return done;
}
int fallocate(int file, int mode, off_t offset, off_t length) { return fallocate64(file, mode, offset, length); }

int posix_fallocate64(int file, off64_t offset, off64_t length) {
    if (is_watched(file)) not_understood("posix_fallocate");
    return REAL(posix_fallocate64)(file, offset, length);
}
int posix_fallocate(int file, off_t offset, off_t length) { return posix_fallocate64(file, offset, length); }

int truncate64(const char *path, off64_t length) {
    if (is_below(AT_FDCWD, path)) not_understood("truncate");
    return REAL(truncate64)(path, length);
}
int truncate(const char *path, off_t length) { return truncate64(path, length); }

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    if (!is_watched(to)) return REAL(copy_file_range)(from, from_at, to, to_at, length, flags);
    errno = ENOSYS; /* the caller copies by hand, and that is seen */
    return -1;
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
    if (!is_watched(to)) return REAL(sendfile64)(to, from, at, length);
    errno = ENOSYS;
    return -1;
}

void *mmap64(void *at, size_t length, int protection, int flags, int file, off64_t offset) {
    if (is_watched(file) && (flags & MAP_SHARED) && (protection & PROT_WRITE)) not_understood("mmap");
    return REAL(mmap64)(at, length, protection, flags, file, offset);
}

/* ---- syncs ---- */

static int synced(int file, int (*sync)(int)) {
    if (!is_watched(file)) return sync(file);
    ONE_ACT;
    uint64_t turn = ++syncs, number = inode(file);
    note(SYNC_BEGINS, number, turn, 0, 0, NULL, 0, NULL);
    if (faults) {
        faults->syncs++;
        if (strikes(&faults->sync_in)) {
            errno = (int)faults->sync_errno;
            return -1;
        }
    }
    /* As long as a disk takes: recorded in memory, what others write meanwhile must have its time. */
    if (record >= 0) usleep(300);
    int done = sync(file);
    if (!done) note(SYNC_ENDS, number, turn, 0, 0, NULL, 0, NULL);
    return done;
}
int fsync(int file) { return synced(file, REAL(fsync)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)); }
int syncfs(int file) {
    if (is_watched(file)) not_understood("syncfs");
    return REAL(syncfs)(file);
}

/* ---- names ---- */

static int opened(int directory, const char *path, int flags, mode_t mode) {
    static int (*open_at)(int, const char *, int, ...);
    if (!open_at) open_at = real("openat64");
    if (!is_below(directory, path)) return open_at(directory, path, flags, mode);
    ONE_ACT;
    if (faults && faults->open_errno) {
        errno = (int)faults->open_errno;
        return -1;
    }
    struct stat status;
    pthread_mutex_lock(&names);
    int is_new = (flags & O_CREAT) && fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW);
    int file = open_at(directory, path, flags, mode);
    if (file >= 0 && file < FILES) {
        watched[file] = 1;
        if (is_new) {
            const char *name;
            uint64_t number = 0, from = parent(directory, path, &name), born = birth(file, "", &number);
            note(CREATE, number, from, 0, born, name, strlen(name), NULL);
        } else if (flags & O_TRUNC) {
            note(LENGTH, inode(file), 0, 0, 0, NULL, 0, NULL);
        }
        if ((flags & O_TMPFILE) == O_TMPFILE) not_understood("O_TMPFILE");
    }
    pthread_mutex_unlock(&names);
    return file;
}
#define MODE(flags) ({ mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } mode; })
int open64(const char *path, int flags, ...) { return opened(AT_FDCWD, path, flags, MODE(flags)); }
int openat64(int directory, const char *path, int flags, ...) { return opened(directory, path, flags, MODE(flags)); }
int open(const char *path, int flags, ...) { return opened(AT_FDCWD, path, flags, MODE(flags)); }
int openat(int directory, const char *path, int flags, ...) { return opened(directory, path, flags, MODE(flags)); }

int close(int file) {
    if (file == record && record >= 0) return 0;
    if (file >= 0 && file < FILES) watched[file] = 0;
    return REAL(close)(file);
}

static int controlled(int file, int what, void *argument, int (*control)(int, int, ...)) {
    int done = control(file, what, argument);
    if (done >= 0 && done < FILES && (what == F_DUPFD || what == F_DUPFD_CLOEXEC)) watched[done] = is_watched(file);
    return done;
}
#define ARGUMENT(last) ({ va_list more; va_start(more, last); void *argument = va_arg(more, void *); va_end(more); argument; })
int fcntl(int file, int what, ...) { return controlled(file, what, ARGUMENT(what), REAL(fcntl)); }
int fcntl64(int file, int what, ...) { return controlled(file, what, ARGUMENT(what), (int (*)(int, int, ...))REAL(fcntl)); }

int mkdirat(int directory, const char *path, mode_t mode) {
    if (!is_below(directory, path)) return REAL(mkdirat)(directory, path, mode);
    ONE_ACT;
    pthread_mutex_lock(&names);
    int done = REAL(mkdirat)(directory, path, mode);
    if (!done) {
        const char *name;
        uint64_t number = 0, from = parent(directory, path, &name), born = birth(directory, path, &number);
        note(CREATE, number, from, 1, born, name, strlen(name), NULL);
    }
    pthread_mutex_unlock(&names);
    return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int directory, const char *path, int flags) {
    if (!is_below(directory, path)) return REAL(unlinkat)(directory, path, flags);
    ONE_ACT;
    pthread_mutex_lock(&names);
    const char *name;
    uint64_t from = parent(directory, path, &name);
    int done = REAL(unlinkat)(directory, path, flags);
    if (!done) note(REMOVE, 0, from, 0, 0, name, strcspn(name, "/"), NULL);
    pthread_mutex_unlock(&names);
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    if (!is_below(from, old) && !is_below(to, new)) return REAL(renameat2)(from, old, to, new, flags);
    ONE_ACT;
    pthread_mutex_lock(&names);
    const char *old_name, *new_name;
    uint64_t old_parent = parent(from, old, &old_name), new_parent = parent(to, new, &new_name);
    int done = REAL(renameat2)(from, old, to, new, flags);
    if (!done) {
        if (flags & ~1u || !is_below(from, old) || !is_below(to, new)) not_understood("renameat2");
        note(RENAME, 0, old_parent, new_parent, 0, old_name, strlen(old_name), new_name);
    }
    pthread_mutex_unlock(&names);
    return done;
}
int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    if (is_below(to, new)) not_understood("link");
    return REAL(linkat)(from, old, to, new, flags);
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }
int symlink(const char *old, const char *new) {
    if (is_below(AT_FDCWD, new)) not_understood("symlink");
    return REAL(symlink)(old, new);
}

/* ---- who a file is ---- */

int statx(int directory, const char *path, int flags, unsigned mask, struct statx *status) {
    int done = REAL(statx)(directory, path, flags, mask, status);
    for (size_t at = 0; !done && at < identity_count; at++) {
        if (identities[at].here != status->stx_ino) continue;
        status->stx_ino = identities[at].told;
        status->stx_btime.tv_sec = (int64_t)(identities[at].born / 1000000000u);
        status->stx_btime.tv_nsec = (uint32_t)(identities[at].born % 1000000000u);
        break;
    }
    return done;
}
