#include "session/id.h"

#include "base/random.h"

#include <stdint.h>
#include <time.h>

/* Of 5 bits each. */
#define TIME_DIGITS   10 /* milliseconds */
#define RANDOM_DIGITS 16

void
id_make(char out[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned char bytes[RANDOM_DIGITS];
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    for (int i = TIME_DIGITS - 1; i >= 0; i--, ms >>= 5)
        out[i] = digits[ms & 31U];
    random_bytes(bytes, sizeof bytes);
    for (int i = 0; i < RANDOM_DIGITS; i++)
        out[TIME_DIGITS + i] = digits[bytes[i] & 31U];
    out[TIME_DIGITS + RANDOM_DIGITS] = '\0';
}
