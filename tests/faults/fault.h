/*
 * fault.h - the fault campaign: what its driver and its ranks share.
 *
 *   fault_campaign.c  the driver: options, the table of faults, the report
 *   fault_trial.c     one job of a few ranks with one fault
 *   fault_judge.c     what a trial's reports are worth, and the numbers of many trials
 *   fault_rank.c      a rank: collectives on checked data, until it is told, or to the end
 *   fault_stranger.c  another user who means ill
 *   fault_network.c   two network namespaces on one wire
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FAULT_RANKS_MAX  16
#define FAULT_TEXT_BYTES 640

/* What a rank writes into the driver's pipe, whole and at once. */
enum fault_event {
	FAULT_STANDS,   /* its communicator stands */
	FAULT_INJECTED, /* the victim is about to do it */
	FAULT_ENDED,    /* the last word: FERRULE_OK, or the error with its text */
	FAULT_WRONG,    /* the last word: a call returned OK with wrong bytes */
};
struct fault_report {
	enum fault_event event;
	int rank, status;
	uint64_t ns; /* CLOCK_MONOTONIC */
	char text[FAULT_TEXT_BYTES];
};

/* When it happens. */
enum fault_moment {
	FAULT_IN_SETUP,  /* at a random moment from the first rank's start on */
	FAULT_IN_WORK,   /* at a random moment after all communicators stand */
	FAULT_BY_VICTIM, /* the victim does it, at a random call */
	FAULT_AT_START,  /* it is there from the start */
	FAULT_AT_CALL,   /* at one of the victim's system calls or allocations */
};

/* What must come of it on every other rank. */
enum fault_outcome {
	FAULT_TOLD,             /* an error within limit_s that names the victim */
	FAULT_TOLD_BY_DEADLINE, /* the same, within FERRULE_TIMEOUT and limit_s */
	FAULT_TOLD_OR_FINE,     /* the same as told, or nothing at all */
	FAULT_FINE,             /* nothing: the job ends well */
};

struct fault_kind {
	const char *name;
	enum fault_moment moment;
	enum fault_outcome outcome;
	int signal;      /* sent by the driver; 0: none */
	const char *act; /* what the victim does itself (fault_rank.c); NULL: nothing */
	double limit_s;
	bool only_tcp;
	/* start - begins what lasts for the whole job; its process, -1 when it cannot. */
	pid_t (*start)(uint64_t seed);
	/* One of the victim's first calls so many fails, as t_faults.h has it; 0: none does. */
	int call_fault, n_calls;
	const char *what; /* for people */
};

/* The settings that every job runs under. */
#define FAULT_TIMEOUT_S       1.5
#define FAULT_SETUP_TIMEOUT_S 4.0
/* A job that is not through by then hangs. */
#define FAULT_HANG_S 25.0

/* One job. */
struct fault_trial {
	const struct fault_kind *kind;
	const char *transport;
	int n_ranks, victim;
	uint64_t seed;
	double setup_s; /* how long set-up takes without a fault */
	/* out */
	uint64_t start_ns, stands_ns, fault_ns; /* 0: never */
	bool has_ended[FAULT_RANKS_MAX];
	struct fault_report last[FAULT_RANKS_MAX];
};

/* fault_random - the next number of a sequence (splitmix64). */
uint64_t fault_random(uint64_t *state);
uint64_t fault_now_ns(void);

/* fault_trial_run - runs one; false when it could not be started. */
bool fault_trial_run(struct fault_trial *t);

/* What many trials of one kind came to. */
struct fault_tally {
	int trials, fine, told;
	int late, unnamed, wrong, hung, unexpected;
	int n_delays;
	double *delay_ms; /* from the fault to each report */
	char sample[FAULT_TEXT_BYTES + 64];
};
/* fault_judge - adds a trial; `verbose` prints each report that is not as it should be. */
void fault_judge(struct fault_tally *tally, const struct fault_trial *t, bool verbose);
/* fault_tally_bad - how many trials were not as they should be. */
int fault_tally_bad(const struct fault_tally *tally);

/* fault_rank_main - the body of a rank; its settings are in the environment. */
int fault_rank_main(void);

/* fault_stranger_start - an ill-meaning process of user nobody; needs root. */
pid_t fault_stranger_start(uint64_t seed);

/* fault_network_open - false with the reason where there are no network namespaces. */
bool fault_network_open(const char **why_out);
/* fault_network_enter - in a rank's process: puts it on one of the two hosts. */
void fault_network_enter(int host);
/* fault_network_address - of host 0, where rank 0 is. */
const char *fault_network_address(void);
void fault_network_cut(void);
void fault_network_mend(void);
void fault_network_close(void);

#endif
