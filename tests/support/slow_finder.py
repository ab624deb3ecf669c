"""What each detector finds, in plain Python with `re`: slow, and written apart from the compiled scan.

Texts are bytes. Each function gives the spans of all values of its kind; spans of one kind may overlap.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator

Span = tuple[int, int]
ALNUM = rb"A-Za-z0-9"


def words(text: str) -> list[str]:
    return text.split()


SSN_WORDS = words(
    """
    ssn ssns social socialsecurity socialsecuritynumber
    """
)
ZIP_WORDS = words(
    """
    zip zips zipcode zipcodes postal postalcode postcode
    """
)
BIRTH_WORDS = words(
    """
    birth birthdate birthday born dateofbirth dob bday
    """
)
SECRET_WORDS = words(
    """
    secret secrets secretkey secretaccesskey
    """
)
VERSION_WORDS = words(
    """
    build chrome chromium crios driver edg edga electron firmware headlesschrome opr release rev revision sdk v ver
    version versions vivaldi
    """
)

BRANDS = [
    (220000, 220499, {16, 17, 18, 19}),
    (222100, 272099, {16}),
    (300000, 305999, {14, 16, 17, 18, 19}),
    (309500, 309599, {14, 16, 17, 18, 19}),
    (340000, 349999, {15}),
    (352800, 358999, {16, 17, 18, 19}),
    (360000, 369999, {14, 15, 16, 17, 18, 19}),
    (370000, 379999, {15}),
    (380000, 399999, {14, 16, 17, 18, 19}),
    (400000, 499999, {13, 16, 19}),
    (500000, 509999, set(range(13, 20))),
    (510000, 559999, {16}),
    (560000, 589999, set(range(13, 20))),
    (600000, 659999, {16, 17, 18, 19}),
    (670000, 679999, set(range(13, 20))),
    (810000, 822999, {16, 17, 18, 19}),
    (979200, 979299, {16}),
]
STATES = words(
    """
    AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR
    PA RI SC SD TN TX UT VT VA WA WV WI WY DC PR VI GU AS MP AA AE AP
    """
)
IBAN_LENGTHS = {
    row[:2]: int(row[2:])
    for row in words(
        """
        AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29
        ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20
        LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29
        PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
        YE30
        """
    )
}


def overlapping(pattern: bytes, text: bytes, flags: int = 0) -> Iterator[re.Match[bytes]]:
    """A match at each place where one begins."""
    compiled = re.compile(pattern, flags | re.DOTALL)
    for start in range(len(text)):
        found = compiled.match(text, start)
        if found is not None:
            yield found


def speaks_of(words: list[str], text: bytes) -> bool:
    for word in words:
        for found in re.finditer(word.encode(), text, re.IGNORECASE):
            before, after = text[: found.start()][-1:], text[found.end() :][:1]
            left = not before.isalpha() or (before.islower() and found[0][:1].isupper())
            right = not after.isalpha() or (after.isupper() and found[0][-1:].islower())
            if left and right:
                return True
    return False


def is_about(words: list[str], text: bytes, start: int, name: bytes) -> bool:
    return speaks_of(words, name[:128]) or any(
        # A word ends before the value; what it begins behind may be cut off.
        speaks_of_at(words, text, i, start)
        for i in range(max(0, start - 32), start)
    )


def speaks_of_at(words: list[str], text: bytes, at: int, end: int) -> bool:
    for word in words:
        found = text[at : at + len(word)]
        if at + len(word) > end or found.lower() != word.encode():
            continue
        before, after = text[:at][-1:], text[at + len(word) : end][:1]
        left = not before.isalpha() or (before.islower() and found[:1].isupper())
        right = not after.isalpha() or (after.isupper() and found[-1:].islower())
        if left and right:
            return True
    return False


def luhn(digits: bytes) -> bool:
    doubled = [sum(divmod(2 * int(chr(d)), 10)) for d in digits[-2::-2]]
    return (sum(int(chr(d)) for d in digits[::-2]) + sum(doubled)) % 10 == 0


def is_card(digits: bytes) -> bool:
    prefix = int(digits[:6])
    return luhn(digits) and any(low <= prefix <= high and len(digits) in lengths for low, high, lengths in BRANDS)


def in_hex_token(text: bytes, start: int, end: int) -> bool:
    left = re.search(rb"[%s]*\Z" % ALNUM, text[max(0, start - 64) : start])
    right = re.match(rb"[%s]*" % ALNUM, text[end : end + 64])
    assert left is not None
    assert right is not None
    around = left[0] + right[0]
    return around != b"" and re.fullmatch(rb"[0-9a-fA-F]+", around) is not None


def find_card(text: bytes, name: bytes) -> Iterator[Span]:
    for found in overlapping(rb"(?<![0-9])(?<![0-9]\.)[0-9]{13,19}(?![0-9])(?!\.[0-9])", text):
        if is_card(found[0]) and not in_hex_token(text, *found.span()):
            yield found.span()
    for start in range(len(text)):
        for groups in ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1)):
            first, *others = groups
            form = (
                rb"(?<![0-9])[0-9]{%d}([ -])" % first
                + rb"\1".join(rb"[0-9]{%d}" % size for size in others)
                + rb"(?![0-9])"
            )
            found = re.compile(form).match(text, start)
            if found is None:
                continue
            digits = re.sub(rb"[ -]", b"", found[0])
            if is_card(digits) and not in_hex_token(text, *found.span()):
                yield found.span()
                break


def find_iban(text: bytes, name: bytes) -> Iterator[Span]:
    for found in overlapping(rb"(?<![%s])([A-Za-z]{2})[0-9]{2}" % ALNUM, text):
        length = IBAN_LENGTHS.get(found[1].decode().upper())
        if length is None:
            continue
        four, rest = divmod(length - 4, 4)
        for gap in (rb"", rb" ", rb"-"):
            form = rb".{4}" + (gap + rb"[%s]{4}" % ALNUM) * four + (gap + rb"[%s]{%d}" % (ALNUM, rest) if rest else b"")
            whole = re.compile(form + rb"(?![%s])" % ALNUM).match(text, found.start())
            if whole is None:
                continue
            plain = re.sub(rb"[ -]", b"", whole[0]).decode().upper()
            if int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1:
                yield whole.span()


def is_ssn(digits: bytes) -> bool:
    return (
        digits[:3] not in (b"000", b"666")
        and digits[0:1] != b"9"
        and digits[3:5] != b"00"
        and digits[5:] != b"0000"
        and digits not in (b"078051120", b"219099999", b"457555462")
    )


def find_ssn(text: bytes, name: bytes) -> Iterator[Span]:
    for gap in (b"-", b" "):
        form = rb"(?<![%s])(?<![%s]%s)[0-9]{3}%s[0-9]{2}%s[0-9]{4}(?![%s])(?!%s[0-9])" % (
            ALNUM, b"0-9", gap, gap, gap, ALNUM, gap,
        )  # fmt: skip
        for found in overlapping(form, text):
            if is_ssn(found[0].replace(gap, b"")):
                yield found.span()
    for found in overlapping(rb"(?<![%s])[0-9]{9}(?![%s])" % (ALNUM, ALNUM), text):
        if is_ssn(found[0]) and is_about(SSN_WORDS, text, found.start(), name):
            yield found.span()


PUNCTUATION = r"\u0080-\u00bf\u2000-\u207f\u3000-\u303f\uff00-\uff0f"


def find_email(text: bytes, name: bytes) -> Iterator[Span]:
    decoded = text.decode()
    label = rf"[A-Za-z0-9-]|[^\x00-\x7f{PUNCTUATION}]"
    for at in (i for i, char in enumerate(decoded) if char == "@"):
        before = re.search(rf"(?:[A-Za-z0-9._+%'~-]|[^\x00-\x7f{PUNCTUATION}])*\Z", decoded[:at])
        assert before is not None
        local = before[0]
        while len(local.encode()) > 64:
            local = local[1:]
        local = re.sub(r"\A[.+%'~-]+", "", local)
        if local == "" or local.endswith("."):
            continue
        domain = re.match(rf"(?:{label})+(?:\.(?:{label})+)*", decoded[at + 1 :])
        if domain is None:
            continue
        taken = 0
        end = None
        for number, one in enumerate(domain[0].split(".")):
            if taken > 255 or len(one.encode()) > 63:
                break
            taken += len(one.encode())
            if number > 0 and (
                re.fullmatch(r"[A-Za-z\u0080-\U0010ffff]{2,}", one)
                or re.fullmatch(r"[\u0080-\U0010ffff]", one)
                or re.fullmatch(r"(xn|XN)--.+", one)
            ):
                end = taken
            taken += 1
        if end is not None:
            start = len(decoded[: at - len(local)].encode())
            yield start, start + len(local.encode()) + 1 + end


def find_phone(text: bytes, name: bytes) -> Iterator[Span]:
    for found in overlapping(rb"(?<![%s+])\+[0-9]+(?:(?:\)?[ ./-]?\(?)(?<=[^0-9])[0-9]+)*" % ALNUM, text):
        number = found[0]
        best = 0
        for end in range(2, len(number) + 1):
            if end < len(number) and number[end : end + 1].isdigit():
                continue
            if not number[end - 1 : end].isdigit():
                continue
            if end == len(number) and text[found.end() : found.end() + 1].isalpha():
                continue
            digits = re.sub(rb"[^0-9]", b"", number[:end])
            if digits[:1] == b"1":
                if len(digits) == 11:
                    best = end
                    break
            elif 8 <= len(digits) <= 15:
                best = end
        if best == 0:
            continue
        digits = re.sub(rb"[^0-9]", b"", number[:best])
        if digits[:1] == b"0" or digits[:2] in (b"28", b"83", b"89"):
            continue
        if digits[:1] == b"1" and (digits[1:2] < b"2" or digits[4:5] < b"2"):
            continue
        yield found.start(), found.start() + best


OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9][0-9]|[0-9])"


def find_ipv4(text: bytes, name: bytes) -> Iterator[Span]:
    form = rb"(?<![%s._])%s(?:\.%s){3}(?![%s])(?!\.[%s])(?!-[A-Za-z])" % (ALNUM, OCTET, OCTET, ALNUM, ALNUM)
    for found in overlapping(form, text):
        before = re.search(rb"([A-Za-z]{0,16})[ :=/\"'#]{0,4}\Z", text[: found.start()])
        assert before is not None
        start, end = before.start(1), before.end(1)
        if speaks_of(VERSION_WORDS, name[:128]) or any(
            speaks_of_at(VERSION_WORDS, text[:end], i, end) for i in range(start, end)
        ):
            continue
        yield found.span()


def is_ipv6(value: bytes) -> bool:
    if value.count(b":") < 2 or len(value) > 45 or not re.search(rb"[0-9]", value):
        return False
    try:
        ipaddress.IPv6Address(value.decode())
    except ValueError:
        return False
    return True


def find_ipv6(text: bytes, name: bytes) -> Iterator[Span]:
    for second in overlapping(rb"(?<=:)[^:]{0,4}:", text):
        at = second.end() - 1
        run = re.search(rb"[0-9A-Fa-f:]{0,45}\Z", text[:at])
        rest = re.compile(rb"[0-9A-Fa-f:.]*").match(text, at)
        assert run is not None
        assert rest is not None
        start, end = run.start(), min(rest.end(), run.start() + 46)
        if re.match(rb"[%s_]" % ALNUM, text[end : end + 1]):
            continue
        while end > at + 1 and text[end - 1 : end] == b".":
            end -= 1
        if text[:end].endswith(b":") and not text[:end].endswith(b"::"):
            end -= 1
        label = text.find(b":", start, end) + 1
        if is_ipv6(text[start:end]) and not re.match(rb"[%s._]" % ALNUM, text[max(start - 1, 0) : start]):
            yield start, end
        elif label and is_ipv6(text[label:end]):
            yield label, end


def find_mac(text: bytes, name: bytes) -> Iterator[Span]:
    pair = rb"[0-9A-Fa-f]{2}"
    for sign in (b":", b"-"):
        form = rb"(?<![%s])%s(?:%s%s){5}(?![%s])(?!%s[%s])" % (ALNUM, pair, sign, pair, ALNUM, sign, ALNUM)
        for found in overlapping(form, text):
            if not re.search(rb"(?<![%s])%s%s\Z" % (ALNUM, pair, sign), text[: found.start()]):
                yield found.span()
    four = rb"[0-9A-Fa-f]{4}"
    form = rb"(?<![%s])(?<![%s]\.)%s\.%s\.%s(?![%s])(?!\.[%s])" % (ALNUM, ALNUM, four, four, four, ALNUM, ALNUM)
    yield from (found.span() for found in overlapping(form, text) if re.search(rb"[A-Fa-f]", found[0]))


def find_jwt(text: bytes, name: bytes) -> Iterator[Span]:
    for found in overlapping(rb"(?<![\w-])(eyJ[\w-]*)\.[\w-]+(?:\.[\w-]*){0,3}", text, re.ASCII):
        header = found[1]
        cut = header[: len(header) - (len(header) % 4 == 1)]
        if b'"alg"' in base64.urlsafe_b64decode(cut + b"=" * (-len(cut) % 4)):
            end = found.end()
            yield found.start(), end - (text[end - 1 : end] == b".")


def find_private_key(text: bytes, name: bytes) -> Iterator[Span]:
    covered = 0
    for found in overlapping(rb"-----BEGIN ([^-]{0,48})-----", text):
        if found.start() < covered or b"PRIVATE KEY" not in found[1]:
            continue
        end = re.compile(rb"-----END [^-\n]{0,48}-{0,5}").search(text, found.end())
        covered = len(text) if end is None else end.end()
        yield found.start(), covered


PREFIXES = {
    rb"[A-Z0-9]{16}(?![%s])" % ALNUM: "ABIA ACCA AKIA ASIA",
    rb"[A-Z0-9]{50,}": "AGE-SECRET-KEY-1",
    rb"[\w-]{35}(?![\w-])": "AIza",
    rb"[\w-]{50,}": "ATATT3 pypi-",
    rb"[\w+/=-]{80,}": "FwoGZXIvYXdz IQoJb3JpZ2lu",
    rb"[\w-]{24,}": "GOCSPX- hvb. hvs.",
    rb"[A-Za-z0-9]{24,}": "NRAK-",
    rb"[\w-]{40,}": "PMAK- github_pat_ sq0csp-",
    rb"[\w.-]{40,}": "SG.",
    rb"[0-9a-f]{32}(?![%s])" % ALNUM: "SK dapi shpat_ shpca_ shppa_ shpss_",
    rb"[0-9a-f]{64}(?![%s])" % ALNUM: "doo_v1_ dop_v1_ dor_v1_",
    rb"[A-Za-z0-9]{36,}": "ghp_ gho_ ghu_ ghs_ ghr_ npm_",
    rb"[\w-]{20,}": "glpat- sk-ant- sk-proj- sk-svcacct- sq0atp- xapp- xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- ya29.",
    rb"[\w-]{32,}": "glsa_",
    rb"[A-Za-z0-9]{30,}": "hf_",
    rb"[A-Za-z0-9]{32,}": "lin_api_",
    rb"[A-Za-z0-9]{16,}": "rk_live_ rk_test_ sk_live_ sk_test_",
    rb"[\w+/=-]{24,}": "whsec_",
}


def credential_at(text: bytes, start: int) -> int | None:
    for form, prefixes in PREFIXES.items():
        for prefix in prefixes.split():
            found = re.compile(re.escape(prefix.encode()) + form, re.ASCII).match(text, start)
            if found is not None:
                return found.end()
    return None


def hook_before(text: bytes, start: int) -> int | None:
    for path in (b"hooks.slack.com/services/", b"/api/webhooks/", b"webhook.office.com/"):
        found = re.search(re.escape(path) + rb"(?=([\w+/-]*)\Z)", text[max(0, start - 64) : start], re.ASCII)
        if found is not None and text[start - 1 : start] == b"/":
            return max(0, start - 64) + found.end()
    return None


def find_credential(text: bytes, name: bytes) -> Iterator[Span]:
    for run in re.finditer(rb"[\w-]{20,}", text, re.ASCII):
        start = run.start()
        if text[:start].endswith(b"."):
            word = re.search(rb"[\w-]{0,8}\.\Z", text[:start], re.ASCII)
            assert word is not None
            end = credential_at(text, word.start())
            if end is not None and end > start:
                yield word.start(), end
                continue
        entra = re.compile(rb"[\w.~-]+", re.ASCII).match(text, start)
        assert entra is not None
        if re.search(rb"[0-9]Q~\Z", text[:start]) and 31 <= len(entra[0]) <= 34:
            head = re.search(rb"[\w-]{0,3}[0-9]Q~\Z", text[:start], re.ASCII)
            assert head is not None
            yield head.start(), entra.end()
            continue
        hook = hook_before(text, start)
        if hook is not None:
            rest = re.compile(rb"[\w+/-]*", re.ASCII).match(text, start)
            assert rest is not None
            yield hook, rest.end()
            continue
        for i in range(start, run.end()):
            if i > start and text[i - 1 : i] not in (b"-", b"_"):
                continue
            end = credential_at(text, i)
            if end is not None:
                yield i, end
                break
    for run in re.finditer(rb"[A-Za-z0-9+/]{40,}", text):
        padded = re.compile(rb"={0,2}").match(text, run.end())
        assert padded is not None
        azure = re.search(rb"(accountkey|sharedaccesskey)=\Z", text[: run.start()], re.IGNORECASE)
        aws = len(run[0]) == 40 and padded[0] == b"" and is_about(SECRET_WORDS, text, run.start(), name)
        if azure or aws:
            yield run.start(), padded.end()


def find_zip(text: bytes, name: bytes) -> Iterator[Span]:
    form = rb"(?<![%s])(?<![0-9]\.)[0-9]{5}(?:-[0-9]{4}(?![%s])|(?!-[0-9])(?![%s])(?!\.[0-9]))" % (ALNUM, ALNUM, ALNUM)
    for found in overlapping(form, text):
        start = found.start()
        state = re.search(rb"(?<![%s])([A-Z]{2}) \Z" % ALNUM, text[:start])
        if not 501 <= int(found[0][:5]) <= 99950:
            continue
        if (state is not None and state[1].decode() in STATES) or is_about(ZIP_WORDS, text, start, name):
            yield found.span()


def is_day(year: int, month: int, day: int) -> bool:
    return 1850 <= year < 2100 and 1 <= month <= 12 and 1 <= day <= 31


def find_birth_date(text: bytes, name: bytes) -> Iterator[Span]:
    for sign in (b"-", b"/", b"."):
        mark = re.escape(sign)
        form = rb"(?<![%s])(?<![0-9]%s)([0-9]{1,4})%s([0-9]{1,2})%s([0-9]{1,4})(?![0-9])(?!%s[0-9])" % (
            ALNUM, mark, mark, mark, mark,
        )  # fmt: skip
        for found in overlapping(form, text):
            a, b, c = found.groups()
            if len(a) == 4 and len(c) <= 2:
                fits = is_day(int(a), int(b), int(c))
            elif len(a) <= 2 and len(c) in (2, 4):
                year = int(c) + (1900 if len(c) == 2 else 0)
                fits = is_day(year, int(a), int(b)) or is_day(year, int(b), int(a))
            else:
                fits = False
            if fits and is_about(BIRTH_WORDS, text, found.start(), name):
                yield found.span()
    for found in overlapping(rb"(?<![%s])([0-9]{4})([0-9]{2})([0-9]{2})(?![%s])" % (ALNUM, ALNUM), text):
        if is_day(*map(int, found.groups())) and is_about(BIRTH_WORDS, text, found.start(), name):
            yield found.span()


FINDERS: dict[str, Callable[[bytes, bytes], Iterator[Span]]] = {
    "card": find_card,
    "iban": find_iban,
    "us-ssn": find_ssn,
    "email": find_email,
    "phone": find_phone,
    "ipv4": find_ipv4,
    "ipv6": find_ipv6,
    "mac": find_mac,
    "jwt": find_jwt,
    "private-key": find_private_key,
    "credential": find_credential,
    "us-zip": find_zip,
    "birth-date": find_birth_date,
}
