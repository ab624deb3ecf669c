/* What a comparison found in a record, joined by `or`: conditions on the record are decided by it. */
#ifndef WIREMASK_JSON_FOUND_H
#define WIREMASK_JSON_FOUND_H

/* OTHER: a node of a kind that no literal has, or a header that is null. */
enum { FOUND_EQUAL = 1, FOUND_UNEQUAL = 2, FOUND_OTHER = 4 };

#endif
