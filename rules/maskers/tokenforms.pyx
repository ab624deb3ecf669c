# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Tokens in the form of their texts, for a whole batch: see tokens.py, which says what a token is.

A text is read once into code points (`text_t`), the token is made beside it, and both are compared.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.unicode cimport (
    PyUnicode_4BYTE_KIND,
    PyUnicode_DATA,
    PyUnicode_FromKindAndData,
    PyUnicode_KIND,
    PyUnicode_READ,
)
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

from wiremask.rules.maskers.prf cimport SHA256_START, HmacKey, hmac_t, hmac_text, sha256_choose, sha256_finish


cdef extern from "draw.h" nogil:
    ctypedef struct draw_t:
        pass

    void draw_start(draw_t* draw, const uint8_t* digest)
    void draw_digits(draw_t* draw, const uint8_t* bases, int count, uint8_t* digits)


cdef extern from "Python.h":
    bint Py_UNICODE_ISALNUM(Py_UCS4 character)
    bint Py_UNICODE_ISNUMERIC(Py_UCS4 character)
    bint PyUnicode_IS_ASCII(object text)

sha256_choose(False)

cdef enum:
    TEXT, CARD, IBAN
    LIMIT = 1024
    DRAWN = 32  # characters of one number: 32 letters take 151 of its 256 bits, so that no bias shows
    ATTEMPTS = 256
    CARD_LEAST = 12
    CARD_MOST = 19
    IBAN_LEAST = 15
    IBAN_MOST = 34

FORMS = {"text": TEXT, "pan": CARD, "iban": IBAN}
LENGTH_LIMIT_CHARACTERS = LIMIT
"""A longer text is no name or number."""


cdef struct text_t:
    int length
    int count                # letters and digits
    int first, end           # which of those do not stay: from `first` to before `end`
    Py_UCS4 given[LIMIT]
    Py_UCS4 token[LIMIT]
    int places[LIMIT]        # where letters and digits stand
    uint8_t bases[LIMIT]     # of each letter and digit: how many it may become
    uint8_t starts[LIMIT]    # ... and the first of those


def make_tokens(subkey, str form, texts, Py_ssize_t keep_first, Py_ssize_t keep_last):
    """Makes the token of each text.

    Args:
        subkey: of HMAC-SHA-256, 32 bytes.
        form: one of FORMS.
        texts: a sequence of str.
        keep_first: how many letters and digits stay, from the first on; so does `keep_last` from the last.

    Returns:
        A list of the tokens; None for a text that has not the form, or has no other token.
    """
    cdef HmacKey key = HmacKey(subkey)
    cdef text_t text
    cdef uint8_t digest[32]
    cdef int kind = FORMS[form]
    cdef int first = min(keep_first, LIMIT), last = min(keep_last, LIMIT)
    cdef list tokens = []
    for item in texts:
        if not read_text(<str?>item, &text) or not choose_hidden(&text, kind, first, last):
            tokens.append(None)
            continue
        digest_of(&key.hmac, item, kind, &text, digest)
        tokens.append(write_text(&text) if find_token(&text, kind, digest) else None)
    return tokens


cdef bint read_text(str item, text_t* text) noexcept:
    """Reads the text; whether it is short enough."""
    cdef Py_ssize_t i, length = len(item)
    cdef int kind = PyUnicode_KIND(item)
    cdef void* data = PyUnicode_DATA(item)
    cdef Py_UCS4 character
    if length > LIMIT:
        return False
    text.length = <int>length
    text.count = 0
    for i in range(length):
        character = text.given[i] = PyUnicode_READ(kind, data, i)
        if Py_UNICODE_ISALNUM(character):
            text.places[text.count] = <int>i
            if Py_UNICODE_ISNUMERIC(character):
                text.bases[text.count], text.starts[text.count] = 10, c"0"
            elif c"A" <= character <= c"Z":
                text.bases[text.count], text.starts[text.count] = 26, c"A"
            else:
                text.bases[text.count], text.starts[text.count] = 26, c"a"
            text.count += 1
    return True


cdef bint choose_hidden(text_t* text, int kind, int first, int last) noexcept:
    """Chooses what does not stay: all, where the rule would keep all. Whether the text has its form, and any to hide."""
    cdef int always = 4 if kind == IBAN else 0
    if kind == CARD and not is_card(text) or kind == IBAN and not is_iban(text):
        return False
    text.first, text.end = max(first, always), text.count - last
    if text.first >= text.end:
        text.first, text.end = always, text.count
    # A card's last hidden digit only makes the sum right.
    return text.end - text.first > (1 if kind == CARD else 0)


cdef bint has_marks_only(const text_t* text) noexcept:
    """Whether spaces and hyphens are all that stands between letters and digits."""
    cdef int i, at = 0
    for i in range(text.length):
        if at < text.count and text.places[at] == i:
            at += 1
        elif text.given[i] != c" " and text.given[i] != c"-":
            return False
    return True


cdef bint is_card(const text_t* text) noexcept:
    cdef int i
    if not CARD_LEAST <= text.count <= CARD_MOST or not has_marks_only(text):
        return False
    for i in range(text.count):
        if not c"0" <= text.given[text.places[i]] <= c"9":
            return False
    return luhn_sum(text, text.given) == 0


cdef bint is_iban(const text_t* text) noexcept:
    cdef int i
    cdef Py_UCS4 character
    if not IBAN_LEAST <= text.count <= IBAN_MOST or not has_marks_only(text):
        return False
    for i in range(text.count):
        character = text.given[text.places[i]]
        if not (c"0" <= character <= c"9" if 2 <= i < 4 else c"A" <= character <= c"Z" if i < 2
                else c"0" <= character <= c"9" or c"A" <= character <= c"Z"):
            return False
    return iban_rest(text, text.given) == 1


cdef int luhn_sum(const text_t* text, const Py_UCS4* characters) noexcept:
    """The Luhn sum modulo 10 of all digits: 0 for a valid number."""
    cdef int i, digit, total = 0
    for i in range(text.count):
        digit = <int>characters[text.places[text.count - 1 - i]] - c"0"
        if i % 2:
            digit = 2 * digit - 9 if digit > 4 else 2 * digit
        total += digit
    return total % 10


cdef int iban_rest(const text_t* text, const Py_UCS4* characters) noexcept:
    """The rest modulo 97, the first four characters last: 1 for a valid IBAN."""
    cdef int i, rest = 0
    cdef Py_UCS4 character
    for i in range(text.count):
        character = characters[text.places[(i + 4) % text.count]]
        if character >= c"A":
            rest = (100 * rest + <int>character - c"A" + 10) % 97
        else:
            rest = (10 * rest + <int>character - c"0") % 97
    return rest


cdef int digest_of(const hmac_t* hmac, str item, int kind, const text_t* text, uint8_t* digest) except -1:
    """HMAC of the text; in a card number or IBAN spaces and hyphens mean nothing, and must not change the token."""
    cdef uint8_t bare[IBAN_MOST]
    cdef bytes written
    cdef int i
    if kind != TEXT:
        for i in range(text.count):
            bare[i] = <uint8_t>text.given[text.places[i]]
        hmac_text(hmac, bare, text.count, digest)
        return 0
    if PyUnicode_IS_ASCII(item):
        hmac_text(hmac, <const uint8_t*>PyUnicode_DATA(item), text.length, digest)
        return 0
    written = item.encode("utf-8", "surrogatepass")
    hmac_text(hmac, <const uint8_t*>PyBytes_AS_STRING(written), len(written), digest)
    return 0


cdef bint find_token(text_t* text, int kind, uint8_t* digest) noexcept:
    """Draws until the token is not the text itself; whether there is one."""
    cdef int attempt
    for attempt in range(ATTEMPTS):
        memcpy(text.token, text.given, text.length * sizeof(Py_UCS4))
        draw(text, text.first, text.end - 1 if kind == CARD else text.end, digest)
        if kind == CARD:
            mend_card(text)
        elif kind == IBAN:
            mend_iban(text)
        if memcmp(text.token, text.given, text.length * sizeof(Py_UCS4)):
            return True
        hash_again(b"", 0, digest)
    return False


cdef void draw(text_t* text, int first, int end, const uint8_t* digest) noexcept:
    """Draws the hidden letters and digits, DRAWN of each number."""
    cdef uint8_t digits[DRAWN]
    cdef uint8_t number[32]
    cdef draw_t drawn
    cdef int at = first, i, count
    memcpy(number, digest, 32)
    while True:
        count = min(end - at, DRAWN)
        draw_start(&drawn, number)
        draw_digits(&drawn, text.bases + at, count, digits)
        for i in range(count):
            text.token[text.places[at + i]] = text.starts[at + i] + digits[i]
        at += count
        if at >= end:
            return
        hash_again(b"more", 4, number)


cdef void hash_again(const char* before, int length, uint8_t* digest) noexcept:
    """The digest of `before` and the digest, in its place."""
    cdef uint8_t text[64]
    cdef uint32_t state[8]
    memcpy(text, before, length)
    memcpy(text + length, digest, 32)
    memcpy(state, SHA256_START, sizeof(state))
    sha256_finish(state, text, length + 32, 0, digest)


cdef void mend_card(text_t* text) noexcept:
    """Makes the Luhn sum right by the last hidden digit: doubled or not, each digit adds another amount."""
    cdef int fix = text.end - 1, missing
    text.token[text.places[fix]] = c"0"
    missing = (10 - luhn_sum(text, text.token)) % 10
    if (text.count - 1 - fix) % 2:
        # Of 0 to 9, doubled and reduced to one digit: 0 2 4 6 8 1 3 5 7 9.
        missing = missing // 2 if missing % 2 == 0 else (missing + 9) // 2
    text.token[text.places[fix]] = c"0" + missing


cdef void mend_iban(text_t* text) noexcept:
    """Makes the check digits right."""
    cdef int check
    text.token[text.places[2]] = text.token[text.places[3]] = c"0"
    check = 98 - iban_rest(text, text.token)
    text.token[text.places[2]] = c"0" + check // 10
    text.token[text.places[3]] = c"0" + check % 10


cdef str write_text(const text_t* text):
    return PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, text.token, text.length)
