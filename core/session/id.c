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
    for (int i = 0; i < 26; i++) {
        unsigned value = 0;
        for (int bit = i * 5 - 2; bit < i * 5 + 3; bit++) {
            unsigned byte = bit < 0 ? 0U : bytes[bit / 8];
            value = value << 1 | (byte >> (7 - bit % 8) & 1U);
        }
        out[i] = digits[value];
    }
    out[26] = '\0';
}
