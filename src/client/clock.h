/*
 * clock.h
 *		Time in milliseconds: steady for waiting, and of the day for what
 *		others read.
 */
#ifndef CLIENT_CLOCK_H
#define CLIENT_CLOCK_H

#include <time.h>

/* no time at all: never */
#define NEVER 0x7fffffffffffffffLL

static inline long long
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* microseconds since 1970 */
static inline long long
clock_us_of_day(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

#endif
