/* Which edges of the instrumented code ran: gcc's -fsanitize-coverage=trace-pc calls this at each of them.

   A map of counters as in AFL: an edge is the place before and the place now. Counts are told apart in steps: once, twice,
   three, 4-7, 8-15, 16-31, 32-127, more. tests/fuzz/edges.py calls the two functions. */

#include <stdint.h>
#include <string.h>

enum { EDGES = 1 << 16 };

static unsigned char counts[EDGES], seen[EDGES];
static _Thread_local uintptr_t before;

void __sanitizer_cov_trace_pc(void) {
    uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    uintptr_t here = (pc ^ (pc >> 16)) & (EDGES - 1);
    unsigned char *count = &counts[here ^ before];
    *count += *count != 255;
    before = here >> 1;
}

/* Before an input. */
void wiremask_edges_clear(void) {
    memset(counts, 0, EDGES);
    before = 0;
}

/* After it: how many steps of how many edges no input had reached before. */
int wiremask_edges_new(void) {
    int found = 0;
    for (int i = 0; i < EDGES; i++) {
        unsigned char count = counts[i];
        if (count == 0) continue;
        unsigned char step = count < 4 ? 1 << (count - 1) : count < 8 ? 8 : count < 16 ? 16 : count < 32 ? 32 : count < 128 ? 64 : 128;
        found += (seen[i] & step) == 0;
        seen[i] |= step;
    }
    return found;
}
