/*
 * standin_control.h - a test's hand on the stand-in device: faults at run time, and counts.
 *
 * Works on one namespace from outside, whether or not this process uses the device.  While a
 * control is open its namespace lives, so that faults can be set before the first process comes
 * and counts are there after the last one left.
 *
 * Devices are numbered as the namespace has them: STANDIN_NODE * STANDIN_DEVICES + the number
 * in the name.  Functions return 0, or -1 and errno EINVAL for a number that there is not.
 */
#ifndef STANDIN_CONTROL_H
#define STANDIN_CONTROL_H

#include "tests/support/standin/standin.h"

struct standin_control;

struct standin_counts {
	unsigned n_processes, n_contexts, n_pds, n_mrs, n_cqs, n_qps;
};

/* standin_control_open - NULL and errno when there is no shared memory to be had. */
struct standin_control *standin_control_open(const char *space);
void standin_control_close(struct standin_control *c);

/*
 * standin_control_port - up, down or silently down; tells every open context (PORT_ERR,
 * PORT_ACTIVE).  While it is down nothing arrives or completes; back within the retry window,
 * everything goes on.  Silently down, a queue pair that met it hangs until it is reset.
 */
int standin_control_port(struct standin_control *c, unsigned device, enum standin_port_mode mode);
/*
 * standin_control_gid - an address: present, removed (the table has no such entry, GID_CHANGE;
 * queue pairs that send from it hang until they are reset), or dead (there, but no answer).
 */
int standin_control_gid(struct standin_control *c, unsigned device, unsigned index,
                        enum standin_gid_mode mode);
/* standin_control_block - nothing gets from one device to another, one way. */
int standin_control_block(struct standin_control *c, unsigned from, unsigned to, bool is_on);
/* standin_control_kill - the request after the next `after` on the device fails with `status`
 * and takes its queue pair along; once.  after < 0: not any more. */
int standin_control_kill(struct standin_control *c, unsigned device, long after,
                         enum ibv_wc_status status);
/* standin_control_state - how a device is now. */
struct standin_state {
	bool is_unusual;
	enum standin_port_mode port;
	enum standin_gid_mode gids[STANDIN_GIDS];
	unsigned blocked;
	long kill_after;
};
int standin_control_state(struct standin_control *c, unsigned device, struct standin_state *out);
/* standin_control_count - what living processes hold; pid 0: all together. */
void standin_control_count(struct standin_control *c, int pid, struct standin_counts *out);

#endif
