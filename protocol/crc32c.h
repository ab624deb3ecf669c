/* CRC-32C (Castagnoli): the checksum of a record batch, from its attributes to its end.
 *
 * Reflected polynomial 0x82f63b78, register inverted before and after (RFC 3720 12.1, test vectors in B.4).
 * `crc32c_extend(crc, data, size)` goes on from the CRC of the bytes before; start with 0.
 *
 * The CPU's own instruction (SSE 4.2, ARMv8) takes 8 bytes, but its result is ready only three cycles later.
 * So three stretches of equal length are summed side by side and joined: the register after A B equals
 * (the register after A, moved past |B| zero bytes) xor (the register of B from 0). Moving past a fixed
 * number of zero bytes is linear over GF(2): four tables of 256, one for each byte of the register.
 *
 * Without the instruction: eight tables, eight bytes a step.
 *
 * Call crc32c_prepare() once, before any other function here, while only one thread runs.
 */
#ifndef WIREMASK_CRC32C_H
#define WIREMASK_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>
#define CRC32C_TARGET __attribute__((target("sse4.2")))
#define CRC32C_WORD(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define CRC32C_BYTE(crc, byte) _mm_crc32_u8((crc), (byte))
#define CRC32C_INSTRUCTION "sse4.2"
#elif defined(__aarch64__) && defined(__GNUC__) && defined(__AARCH64EL__)
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__clang__) /* whose arm_acle.h declares these only if the whole file may use them */
#define CRC32C_TARGET __attribute__((target("crc")))
#define CRC32C_WORD(crc, word) __builtin_arm_crc32cd((crc), (word))
#define CRC32C_BYTE(crc, byte) __builtin_arm_crc32cb((crc), (byte))
#else
#include <arm_acle.h>
#define CRC32C_TARGET __attribute__((target("+crc")))
#define CRC32C_WORD(crc, word) __crc32cd((crc), (word))
#define CRC32C_BYTE(crc, byte) __crc32cb((crc), (byte))
#endif
#define CRC32C_INSTRUCTION "armv8"
#endif

enum {
    CRC32C_LONG = 4096, /* bytes of each of the three stretches: powers of two, multiples of 8 */
    CRC32C_SHORT = 256,
};

static uint32_t crc32c_table[8][256];
static uint32_t crc32c_past_long[4][256];
static uint32_t crc32c_past_short[4][256];
static int crc32c_has_instruction;

/* One column for each bit of the register: the register that this bit alone becomes. */
static uint32_t crc32c_apply(const uint32_t columns[32], uint32_t crc) {
    uint32_t result = 0;
    for (int bit = 0; bit < 32; bit++) {
        if (crc >> bit & 1) result ^= columns[bit];
    }
    return result;
}

/* Fills the tables that move a register past `size` zero bytes, `size` a power of two. */
static void crc32c_prepare_past(uint32_t past[4][256], size_t size) {
    uint32_t columns[32], squared[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = (uint32_t)1 << bit;
        columns[bit] = crc >> 8 ^ crc32c_table[0][crc & 0xff];
    }
    for (size_t done = 1; done < size; done *= 2) {
        for (int bit = 0; bit < 32; bit++) squared[bit] = crc32c_apply(columns, columns[bit]);
        memcpy(columns, squared, sizeof columns);
    }
    for (int byte = 0; byte < 4; byte++) {
        for (uint32_t value = 0; value < 256; value++) past[byte][value] = crc32c_apply(columns, value << 8 * byte);
    }
}

static void crc32c_prepare(void) {
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ UINT32_C(0x82f63b78) : crc >> 1;
        crc32c_table[0][value] = crc;
    }
    for (uint32_t value = 0; value < 256; value++) {
        for (int row = 1; row < 8; row++) {
            uint32_t crc = crc32c_table[row - 1][value];
            crc32c_table[row][value] = crc >> 8 ^ crc32c_table[0][crc & 0xff];
        }
    }
    crc32c_prepare_past(crc32c_past_long, CRC32C_LONG);
    crc32c_prepare_past(crc32c_past_short, CRC32C_SHORT);
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    crc32c_has_instruction = __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
    crc32c_has_instruction = 1;
#elif defined(CRC32C_INSTRUCTION) && defined(__linux__)
    crc32c_has_instruction = (getauxval(AT_HWCAP) >> 7 & 1) != 0; /* HWCAP_CRC32 */
#endif
}

static uint32_t crc32c_extend_portable(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint32_t low = crc ^ ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                              (uint32_t)data[3] << 24);
        crc = crc32c_table[7][low & 0xff] ^ crc32c_table[6][low >> 8 & 0xff] ^ crc32c_table[5][low >> 16 & 0xff] ^
              crc32c_table[4][low >> 24] ^ crc32c_table[3][data[4]] ^ crc32c_table[2][data[5]] ^
              crc32c_table[1][data[6]] ^ crc32c_table[0][data[7]];
    }
    for (; size > 0; data++, size--) crc = crc >> 8 ^ crc32c_table[0][(crc ^ *data) & 0xff];
    return ~crc;
}

#ifdef CRC32C_INSTRUCTION

static inline uint32_t crc32c_move(const uint32_t past[4][256], uint32_t crc) {
    return past[0][crc & 0xff] ^ past[1][crc >> 8 & 0xff] ^ past[2][crc >> 16 & 0xff] ^ past[3][crc >> 24];
}

static inline uint64_t crc32c_word(const uint8_t *data) {
    uint64_t word;
    memcpy(&word, data, 8);
    return word;
}

/* Three stretches of `stretch` bytes each; returns the register after all of them. */
CRC32C_TARGET static inline uint32_t crc32c_three(
    uint32_t crc, const uint8_t *data, size_t stretch, const uint32_t past[4][256]) {
    uint32_t second = 0, third = 0;
    for (size_t at = 0; at < stretch; at += 8) {
        crc = CRC32C_WORD(crc, crc32c_word(data + at));
        second = CRC32C_WORD(second, crc32c_word(data + stretch + at));
        third = CRC32C_WORD(third, crc32c_word(data + 2 * stretch + at));
    }
    crc = crc32c_move(past, crc) ^ second;
    return crc32c_move(past, crc) ^ third;
}

CRC32C_TARGET static uint32_t crc32c_extend_instruction(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (; size >= 3 * CRC32C_LONG; data += 3 * CRC32C_LONG, size -= 3 * CRC32C_LONG) {
        crc = crc32c_three(crc, data, CRC32C_LONG, crc32c_past_long);
    }
    for (; size >= 3 * CRC32C_SHORT; data += 3 * CRC32C_SHORT, size -= 3 * CRC32C_SHORT) {
        crc = crc32c_three(crc, data, CRC32C_SHORT, crc32c_past_short);
    }
    for (; size >= 8; data += 8, size -= 8) crc = CRC32C_WORD(crc, crc32c_word(data));
    for (; size > 0; data++, size--) crc = CRC32C_BYTE(crc, *data);
    return ~crc;
}

#endif

static inline uint32_t crc32c_extend(uint32_t crc, const uint8_t *data, size_t size) {
#ifdef CRC32C_INSTRUCTION
    if (crc32c_has_instruction) return crc32c_extend_instruction(crc, data, size);
#endif
    return crc32c_extend_portable(crc, data, size);
}

/* The implementation that crc32c_extend takes on this machine. */
static const char *crc32c_implementation(void) {
#ifdef CRC32C_INSTRUCTION
    if (crc32c_has_instruction) return CRC32C_INSTRUCTION;
#endif
    return "portable";
}

#endif
