/* Overwrites what a compiler would see no reason to write. */
#ifndef WIREMASK_WIPE_H
#define WIREMASK_WIPE_H

#include <stddef.h>

static inline void wipe(void *at, size_t length)
{
    volatile unsigned char *byte = (volatile unsigned char *)at;
    while (length--) *byte++ = 0;
}

#endif
