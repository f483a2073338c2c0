/* Which paths this processor and this system can run: a bit for each. */
#ifndef P2PNODE_CPU_H
#define P2PNODE_CPU_H

#include <stdint.h>

uint32_t available_paths(void);

#endif
