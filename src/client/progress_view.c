/*
 * progress_view.c
 *		A bar at the bottom of a terminal, plain lines, or JSON.
 */
#include "client/progress_view.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/json_scan.h"
#include "client/log.h"

#define BAR_WIDTH	  24
#define DEFAULT_WIDTH 80
#define LINE_MS		  10000 /* between plain lines, unless something is new */

static enum
{
	VIEW_OFF,
	VIEW_BAR,
	VIEW_LINES,
	VIEW_JSON
} view_form;
static bool		 bar_is_there;
static long long last_line; /* of clock_ms() */
static JobStatus last_status;

void
view_open(const char *form)
{
	if (strcmp(form, "auto") == 0)
		form = isatty(STDERR_FILENO) ? "bar" : "lines";
	view_form = strcmp(form, "bar") == 0	 ? VIEW_BAR
				: strcmp(form, "lines") == 0 ? VIEW_LINES
				: strcmp(form, "json") == 0	 ? VIEW_JSON
											 : VIEW_OFF;
}

bool
view_is_json(void)
{
	return view_form == VIEW_JSON;
}

void
view_clear(void)
{
	if (!bar_is_there)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	bar_is_there = false;
}

static void
append_size(Bytes *line, long long bytes)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
	double					 size = bytes;
	int						 unit = 0;

	while (size >= 1024 && unit < 4)
	{
		size /= 1024;
		unit++;
	}
	mem_format(line, unit > 0 && size < 100 ? "%.1f %s" : "%.0f %s", size,
			   units[unit]);
}

/* A name may hold anything: nothing of it may move the cursor. */
static void
append_printable(Bytes *line, const char *text)
{
	for (; *text; text++)
		mem_append(line,
				   (unsigned char) *text < 0x20 || *text == 0x7f ? "?" : text,
				   1);
}

static int
view_percent(const JobStatus *status)
{
	return status->parts_total > 0
			   ? (int) (status->parts_done * 100 / status->parts_total)
			   : 0;
}

static void
append_figures(Bytes *line, const JobStatus *status)
{
	mem_format(line, "%lld rows, ", status->rows);
	append_size(line, status->bytes);
	if (status->rate >= 0)
	{
		mem_add(line, ", ");
		append_size(line, status->rate);
		mem_add(line, "/s");
	}
	if (status->eta >= 0)
		mem_format(line, ", ETA %lld:%02lld:%02lld", status->eta / 3600,
				   status->eta / 60 % 60, status->eta % 60);
	if (strcmp(status->state, "running") == 0)
		mem_format(line, ", %lld worker%s", status->workers,
				   status->workers == 1 ? "" : "s");
	if (status->waiting_for[0])
	{
		mem_add(line, ", waits for ");
		append_printable(line, status->waiting_for);
	}
}

/* Not longer than the terminal is wide, or it would leave lines behind. */
static void
cut_line(Bytes *line)
{
	struct winsize window;
	size_t		   columns = DEFAULT_WIDTH;
	size_t		   seen = 0;
	size_t		   i;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
		columns = window.ws_col;
	for (i = 0; i < line->length; i++)
	{
		/* bytes that go on a character take no column of their own */
		if ((line->data[i] & 0xC0) != 0x80 && ++seen == columns)
			break;
	}
	line->data[i] = '\0';
	line->length = i;
}

static void
show_bar(const JobStatus *status)
{
	int	  filled = view_percent(status) * BAR_WIDTH / 100;
	Bytes line = {0};

	mem_format(&line, "job %lld [%.*s%*s] %3d %% ", status->job, filled,
			   "########################", BAR_WIDTH - filled, "",
			   view_percent(status));
	append_figures(&line, status);
	cut_line(&line);
	fprintf(stderr, "\r%s\033[K", line.data);
	fflush(stderr);
	bar_is_there = true;
	mem_free(&line);
}

static void
show_line(const JobStatus *status)
{
	Bytes line = {0};

	mem_format(&line, "job %lld %s: %lld of %lld parts, ", status->job,
			   status->state, status->parts_done, status->parts_total);
	append_figures(&line, status);
	log_message(LOG_INFO, "%s", line.data);
	mem_free(&line);
	last_line = clock_ms();
}

static void
append_number(Bytes *line, const char *name, long long number)
{
	if (number < 0)
		mem_format(line, ",\"%s\":null", name);
	else
		mem_format(line, ",\"%s\":%lld", name, number);
}

static void
show_json(const JobStatus *status)
{
	Bytes line = {0};

	mem_format(&line, "{\"job\":%lld,\"state\":\"%s\"", status->job,
			   status->state);
	append_number(&line, "parts_done", status->parts_done);
	append_number(&line, "parts_total", status->parts_total);
	append_number(&line, "rows", status->rows);
	append_number(&line, "bytes", status->bytes);
	append_number(&line, "rate", status->rate);
	append_number(&line, "eta_seconds", status->eta);
	append_number(&line, "workers", status->workers);
	mem_add(&line, ",\"waiting_for\":");
	if (status->waiting_for[0])
		json_append_text(&line, status->waiting_for);
	else
		mem_add(&line, "null");
	mem_add(&line, "}\n");
	fputs(line.data, stdout);
	fflush(stdout);
	mem_free(&line);
}

static bool
line_is_due(const JobStatus *status)
{
	return last_line == 0 || clock_ms() - last_line >= LINE_MS ||
		   strcmp(status->state, last_status.state) != 0 ||
		   strcmp(status->waiting_for, last_status.waiting_for) != 0;
}

void
view_show(const JobStatus *status, bool is_last)
{
	switch (view_form)
	{
		case VIEW_OFF:
			break;
		case VIEW_BAR:
			show_bar(status);
			if (is_last)
			{
				/* the last one stays */
				fputs("\n", stderr);
				bar_is_there = false;
			}
			break;
		case VIEW_LINES:
			if (is_last || line_is_due(status))
				show_line(status);
			break;
		case VIEW_JSON:
			show_json(status);
			break;
	}
	last_status = *status;
}
