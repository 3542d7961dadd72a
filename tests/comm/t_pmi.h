/* t_pmi.h - a launcher of PMI-1 and PMI-2 for tests, honest or not. */
#ifndef T_PMI_H
#define T_PMI_H

#include <sys/types.h>

#define T_PMI_MAX_RANKS 8

enum t_pmi_fault {
	T_PMI_HONEST,
	T_PMI_SILENT,   /* no answer, for ever */
	T_PMI_CLOSES,   /* no answer, and the connection ends */
	T_PMI_GARBAGE,  /* bytes that are no message */
	T_PMI_ENDLESS,  /* more than any message may have */
	T_PMI_FAILS,    /* the right answer, but rc=-1 */
	T_PMI_CONFUSED, /* the answer to something else */
	T_PMI_SLOW,     /* the right answer, byte by byte */
};

struct t_pmi {
	int n_ranks;
	int only_version; /* 1 or 2: what it speaks; 0: what it is asked for */
	enum t_pmi_fault fault;
	const char *at;          /* the command that meets with the fault: "put", "kvs-fence" */
	int says_ranks;          /* fullinit's answer, when not 0 */
	int fd[T_PMI_MAX_RANKS]; /* the ranks' ends, once it has started */
};

/* t_pmi_start - forks the launcher, which ends with its ranks; returns its pid, or -1. */
pid_t t_pmi_start(struct t_pmi *pmi);
/* t_pmi_enter - makes this process rank `rank` of it: the variables, and no others. */
void t_pmi_enter(const struct t_pmi *pmi, int rank);
/* t_pmi_stop - ends the launcher, and the parent's ends of its connections. */
void t_pmi_stop(struct t_pmi *pmi, pid_t pid);

#endif
