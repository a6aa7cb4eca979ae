#include "session/id.h"

#include "base/random.h"

#include <stdint.h>
#include <time.h>

void
id_make(char out[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned char bytes[16];
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    for (int i = 5; i >= 0; i--, ms >>= 8)
        bytes[i] = (unsigned char)ms;
    random_bytes(bytes + 6, sizeof bytes - 6);

    /* 128 bits and two leading zero bits are 26 digits of 5 bits. */
    unsigned bits = 0, count = 2;
    for (int i = 0, next = 0; i < 26; i++, count -= 5) {
        if (count < 5) {
            bits = bits << 8 | bytes[next++];
            count += 8;
        }
        out[i] = digits[bits >> (count - 5) & 31U];
    }
    out[26] = '\0';
}
