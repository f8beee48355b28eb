/*
 * sink_fault.c
 *		Makes the Nth system call of src/sink fail.
 *
 * The module is linked with --wrap for each call below, so that its copy of
 * the sink objects comes here first while the server's own calls do not.
 */
#include "postgres.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sink_fail_at);
PG_FUNCTION_INFO_V1(sink_failed_call);

extern PGDLLEXPORT Datum sink_fail_at(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_failed_call(PG_FUNCTION_ARGS);

/* calls left until one fails; 0: none will */
static int		   countdown = 0;
static char		   counted_call[NAMEDATALEN]; /* "" for all */
static int		   fault_errno = 0;			  /* 0: write less than asked */
static const char *failed_call = NULL;

extern ssize_t __real_write(int fd, const void *data, size_t len);
extern ssize_t __wrap_write(int fd, const void *data, size_t len);
extern int	   __real_pg_fsync(int fd);
extern int	   __wrap_pg_fsync(int fd);
extern int __real_openat(int dir, const char *name, int flags, mode_t mode);
extern int __wrap_openat(int dir, const char *name, int flags, mode_t mode);
extern int __real_mkdirat(int dir, const char *name, mode_t mode);
extern int __wrap_mkdirat(int dir, const char *name, mode_t mode);
extern int __real_renameat(int dir, const char *name, int to_dir,
						   const char *to);
extern int __wrap_renameat(int dir, const char *name, int to_dir,
						   const char *to);
extern int __real_renameat2(int dir, const char *name, int to_dir,
							const char *to, unsigned flags);
extern int __wrap_renameat2(int dir, const char *name, int to_dir,
							const char *to, unsigned flags);
extern int __real_linkat(int dir, const char *name, int to_dir, const char *to,
						 int flags);
extern int __wrap_linkat(int dir, const char *name, int to_dir, const char *to,
						 int flags);
extern ssize_t __real_read(int fd, void *data, size_t len);
extern ssize_t __wrap_read(int fd, void *data, size_t len);
extern int	   __real_fstat(int fd, struct stat *st);
extern int	   __wrap_fstat(int fd, struct stat *st);

static bool
fails(const char *call)
{
	if (counted_call[0] != '\0' && strcmp(counted_call, call) != 0)
		return false;
	if (countdown == 0 || --countdown > 0)
		return false;
	failed_call = call;
	errno = fault_errno;
	return true;
}

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	if (!fails("write"))
		return __real_write(fd, data, len);
	return fault_errno == 0 ? __real_write(fd, data, (len + 1) / 2) : -1;
}

ssize_t
__wrap_read(int fd, void *data, size_t len)
{
	if (!fails("read"))
		return __real_read(fd, data, len);
	return fault_errno == 0 ? __real_read(fd, data, (len + 1) / 2) : -1;
}

int
__wrap_pg_fsync(int fd)
{
	return fails("fsync") ? -1 : __real_pg_fsync(fd);
}

int
__wrap_openat(int dir, const char *name, int flags, mode_t mode)
{
	return fails("openat") ? -1 : __real_openat(dir, name, flags, mode);
}

int
__wrap_mkdirat(int dir, const char *name, mode_t mode)
{
	return fails("mkdirat") ? -1 : __real_mkdirat(dir, name, mode);
}

int
__wrap_fstat(int fd, struct stat *st)
{
	return fails("fstat") ? -1 : __real_fstat(fd, st);
}

int
__wrap_renameat(int dir, const char *name, int to_dir, const char *to)
{
	return fails("renameat") ? -1 : __real_renameat(dir, name, to_dir, to);
}

int
__wrap_renameat2(int dir, const char *name, int to_dir, const char *to,
				 unsigned flags)
{
	return fails("renameat2") ? -1
							  : __real_renameat2(dir, name, to_dir, to, flags);
}

int
__wrap_linkat(int dir, const char *name, int to_dir, const char *to, int flags)
{
	return fails("linkat") ? -1 : __real_linkat(dir, name, to_dir, to, flags);
}

/* sink_fail_at(n, errno by name or "short", call or '' for any of them) */
Datum
sink_fail_at(PG_FUNCTION_ARGS)
{
	static const struct
	{
		const char *name;
		int			value;
	} errors[] = {
		{"short", 0},		{"EINTR", EINTR},	{"ENOSPC", ENOSPC},
		{"EIO", EIO},		{"EDQUOT", EDQUOT}, {"EXDEV", EXDEV},
		{"EINVAL", EINVAL}, {"EMFILE", EMFILE}, {"EACCES", EACCES},
	};
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(1));

	countdown = PG_GETARG_INT32(0);
	strlcpy(counted_call, text_to_cstring(PG_GETARG_TEXT_PP(2)),
			sizeof(counted_call));
	failed_call = NULL;
	for (int i = 0; i < lengthof(errors); i++)
		if (strcmp(errors[i].name, name) == 0)
		{
			fault_errno = errors[i].value;
			PG_RETURN_VOID();
		}
	elog(ERROR, "unknown error \"%s\"", name);
}

/* The call that failed since then, or NULL. */
Datum
sink_failed_call(PG_FUNCTION_ARGS)
{
	countdown = 0;
	if (failed_call == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(failed_call));
}
