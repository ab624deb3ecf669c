/* Tables of the finders: card brands, IBAN lengths, states, and how credentials begin.
 *
 * Source: ISO/IEC 7812-1 and the issuer ranges that the brands publish; ISO 13616 (the IBAN registry); USPS publication
 * 28 appendix B; the vendors' own descriptions of their keys.
 */
#ifndef WIREMASK_FIND_TABLES_H
#define WIREMASK_FIND_TABLES_H

#include <stdint.h>

#define LENGTHS(a, b) (((1u << ((b) + 1)) - 1) & ~((1u << (a)) - 1)) /* a bit for each length */

typedef struct {
    uint32_t low, high; /* the first six digits */
    uint32_t lengths;
} brand_t;

/* By their first six digits; ranges may overlap. */
static const brand_t BRANDS[] = {
    {220000, 220499, LENGTHS(16, 19)},                /* Mir */
    {222100, 272099, LENGTHS(16, 16)},                /* Mastercard */
    {300000, 305999, LENGTHS(14, 14) | LENGTHS(16, 19)}, /* Diners Club */
    {309500, 309599, LENGTHS(14, 14) | LENGTHS(16, 19)},
    {340000, 349999, LENGTHS(15, 15)},                /* American Express */
    {352800, 358999, LENGTHS(16, 19)},                /* JCB */
    {360000, 369999, LENGTHS(14, 19)},                /* Diners Club */
    {370000, 379999, LENGTHS(15, 15)},                /* American Express */
    {380000, 399999, LENGTHS(14, 14) | LENGTHS(16, 19)}, /* Diners Club */
    {400000, 499999, LENGTHS(13, 13) | LENGTHS(16, 16) | LENGTHS(19, 19)}, /* Visa */
    {500000, 509999, LENGTHS(13, 19)},                /* Maestro, Elo, Verve, RuPay, Dankort */
    {510000, 559999, LENGTHS(16, 16)},                /* Mastercard */
    {560000, 589999, LENGTHS(13, 19)},                /* Maestro */
    {600000, 659999, LENGTHS(16, 19)},                /* Discover, UnionPay, RuPay, Hipercard, Elo, InstaPayment */
    {670000, 679999, LENGTHS(13, 19)},                /* Maestro */
    {810000, 822999, LENGTHS(16, 19)},                /* UnionPay, RuPay */
    {979200, 979299, LENGTHS(16, 16)},                /* Troy */
};

typedef struct {
    char country[2];
    uint8_t length;
} iban_t;

/* By country: the table is searched by halves. Territories that use the IBANs of their country (IM, GP, AX and their like)
 * have no row.
 * Source: SWIFT, IBAN Registry, release 101: all 89 countries and their lengths were compared with it. */
static const iban_t IBANS[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22},
    {"BI", 27}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DJ", 27},
    {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FK", 18}, {"FO", 18}, {"FR", 27},
    {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28},
    {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22},
    {"MK", 19}, {"MN", 20}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23},
    {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25}, {"SV", 28},
    {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30},
};

/* Two letters each: states, the District of Columbia, territories and the armed forces. */
static const char STATES[] =
    "ALAKAZARCACOCTDEFLGAHIIDILINIAKSKYLAMEMDMAMIMNMSMOMTNENVNHNJNMNYNCNDOHOKORPARISCSDTNTXUTVTVAWAWVWIWYDC"
    "PRVIGUASMPAAAEAP";

/* What the words before a number say that it is. */
typedef enum { ABOUT_SSN, ABOUT_ZIP, ABOUT_BIRTH, ABOUT_SECRET, ABOUT_VERSION, ABOUT_COUNT } about_t;

/* In lower case; NULL ends each. Four numbers after the word of a version are no address. */
static const char *const ABOUT_WORDS[ABOUT_COUNT][24] = {
    [ABOUT_SSN] = {"ssn", "ssns", "social", "socialsecurity", "socialsecuritynumber"},
    [ABOUT_ZIP] = {"zip", "zips", "zipcode", "zipcodes", "postal", "postalcode", "postcode"},
    [ABOUT_BIRTH] = {"birth", "birthdate", "birthday", "born", "dateofbirth", "dob", "bday"},
    [ABOUT_SECRET] = {"secret", "secrets", "secretkey", "secretaccesskey"},
    [ABOUT_VERSION] = {"build", "chrome", "chromium", "crios", "driver", "edg", "edga", "electron", "firmware",
                       "headlesschrome", "opr", "release", "rev", "revision", "sdk", "v", "ver", "version",
                       "versions", "vivaldi"},
};

/* Which characters go on behind the beginning of a credential. */
typedef enum { GOES_ALNUM, GOES_UPPER, GOES_HEX, GOES_TOKEN, GOES_DOTTED, GOES_BASE64 } goes_on_t;

typedef struct {
    const char *prefix;
    goes_on_t goes_on;
    uint16_t least, most; /* so many of these characters; all that there are if `most` is 0 */
} credential_t;

/* By the first character of the prefix. */
static const credential_t CREDENTIALS_A[] = {
    {"ABIA", GOES_UPPER, 16, 16},        /* AWS, bearer token */
    {"ACCA", GOES_UPPER, 16, 16},        /* AWS, context-specific credential */
    {"AGE-SECRET-KEY-1", GOES_UPPER, 50, 0},
    {"AIza", GOES_TOKEN, 35, 35},        /* Google Cloud API key */
    {"AKIA", GOES_UPPER, 16, 16},        /* AWS access key id */
    {"ASIA", GOES_UPPER, 16, 16},        /* AWS, temporary */
    {"ATATT3", GOES_TOKEN, 50, 0},       /* Atlassian */
};
static const credential_t CREDENTIALS_F[] = {
    {"FwoGZXIvYXdz", GOES_BASE64, 80, 0}, /* AWS session token */
};
static const credential_t CREDENTIALS_G[] = {
    {"GOCSPX-", GOES_TOKEN, 24, 0},      /* Google OAuth client secret */
};
static const credential_t CREDENTIALS_I[] = {
    {"IQoJb3JpZ2lu", GOES_BASE64, 80, 0}, /* AWS session token */
};
static const credential_t CREDENTIALS_N[] = {
    {"NRAK-", GOES_ALNUM, 24, 0},        /* New Relic */
};
static const credential_t CREDENTIALS_P[] = {
    {"PMAK-", GOES_TOKEN, 40, 0},        /* Postman */
};
static const credential_t CREDENTIALS_S[] = {
    {"SG.", GOES_DOTTED, 40, 0},         /* SendGrid */
    {"SK", GOES_HEX, 32, 32},            /* Twilio */
};
static const credential_t CREDENTIALS_LOWER_D[] = {
    {"dapi", GOES_HEX, 32, 32},          /* Databricks */
    {"doo_v1_", GOES_HEX, 64, 64},       /* DigitalOcean */
    {"dop_v1_", GOES_HEX, 64, 64},
    {"dor_v1_", GOES_HEX, 64, 64},
};
static const credential_t CREDENTIALS_LOWER_G[] = {
    {"ghp_", GOES_ALNUM, 36, 0},         /* GitHub */
    {"gho_", GOES_ALNUM, 36, 0},
    {"ghu_", GOES_ALNUM, 36, 0},
    {"ghs_", GOES_ALNUM, 36, 0},
    {"ghr_", GOES_ALNUM, 36, 0},
    {"github_pat_", GOES_TOKEN, 40, 0},
    {"glpat-", GOES_TOKEN, 20, 0},       /* GitLab */
    {"glsa_", GOES_TOKEN, 32, 0},        /* Grafana */
};
static const credential_t CREDENTIALS_LOWER_H[] = {
    {"hf_", GOES_ALNUM, 30, 0},          /* Hugging Face */
    {"hvb.", GOES_TOKEN, 24, 0},         /* Vault */
    {"hvs.", GOES_TOKEN, 24, 0},
};
static const credential_t CREDENTIALS_LOWER_L[] = {
    {"lin_api_", GOES_ALNUM, 32, 0},     /* Linear */
};
static const credential_t CREDENTIALS_LOWER_N[] = {
    {"npm_", GOES_ALNUM, 36, 0},
};
static const credential_t CREDENTIALS_LOWER_P[] = {
    {"pypi-", GOES_TOKEN, 50, 0},
};
static const credential_t CREDENTIALS_LOWER_R[] = {
    {"rk_live_", GOES_ALNUM, 16, 0},     /* Stripe */
    {"rk_test_", GOES_ALNUM, 16, 0},
};
static const credential_t CREDENTIALS_LOWER_S[] = {
    {"shpat_", GOES_HEX, 32, 32},        /* Shopify */
    {"shpca_", GOES_HEX, 32, 32},
    {"shppa_", GOES_HEX, 32, 32},
    {"shpss_", GOES_HEX, 32, 32},
    {"sk-ant-", GOES_TOKEN, 20, 0},      /* Anthropic */
    {"sk-proj-", GOES_TOKEN, 20, 0},     /* OpenAI */
    {"sk-svcacct-", GOES_TOKEN, 20, 0},
    {"sk_live_", GOES_ALNUM, 16, 0},     /* Stripe */
    {"sk_test_", GOES_ALNUM, 16, 0},
    {"sq0atp-", GOES_TOKEN, 20, 0},      /* Square */
    {"sq0csp-", GOES_TOKEN, 40, 0},
};
static const credential_t CREDENTIALS_LOWER_W[] = {
    {"whsec_", GOES_BASE64, 24, 0},      /* Stripe and Svix, webhooks */
};
static const credential_t CREDENTIALS_LOWER_X[] = {
    {"xapp-", GOES_TOKEN, 20, 0},        /* Slack */
    {"xoxa-", GOES_TOKEN, 20, 0},
    {"xoxb-", GOES_TOKEN, 20, 0},
    {"xoxe-", GOES_TOKEN, 20, 0},
    {"xoxp-", GOES_TOKEN, 20, 0},
    {"xoxr-", GOES_TOKEN, 20, 0},
    {"xoxs-", GOES_TOKEN, 20, 0},
};
static const credential_t CREDENTIALS_LOWER_Y[] = {
    {"ya29.", GOES_TOKEN, 20, 0},        /* Google OAuth access token */
};

typedef struct {
    const credential_t *rows;
    size_t count;
} credentials_t;

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define ROWS(table) {table, COUNT(table)}
static const credentials_t CREDENTIALS[256] = {
    ['A'] = ROWS(CREDENTIALS_A),
    ['F'] = ROWS(CREDENTIALS_F),
    ['G'] = ROWS(CREDENTIALS_G),
    ['I'] = ROWS(CREDENTIALS_I),
    ['N'] = ROWS(CREDENTIALS_N),
    ['P'] = ROWS(CREDENTIALS_P),
    ['S'] = ROWS(CREDENTIALS_S),
    ['d'] = ROWS(CREDENTIALS_LOWER_D),
    ['g'] = ROWS(CREDENTIALS_LOWER_G),
    ['h'] = ROWS(CREDENTIALS_LOWER_H),
    ['l'] = ROWS(CREDENTIALS_LOWER_L),
    ['n'] = ROWS(CREDENTIALS_LOWER_N),
    ['p'] = ROWS(CREDENTIALS_LOWER_P),
    ['r'] = ROWS(CREDENTIALS_LOWER_R),
    ['s'] = ROWS(CREDENTIALS_LOWER_S),
    ['w'] = ROWS(CREDENTIALS_LOWER_W),
    ['x'] = ROWS(CREDENTIALS_LOWER_X),
    ['y'] = ROWS(CREDENTIALS_LOWER_Y),
};
#undef ROWS

#endif
