/*
 * Measuring one path between two processes, in the manner of perftest: bandwidth and latency
 * of RDMA operations, or of a transport that collectives use.
 *
 * Both processes open a measurement with the same parameters, one of them as the server; they
 * find each other over TCP, check that they mean the same, and then measure any number of
 * message sizes, both in the same order.
 *
 *     struct ferrule_perf_params params;
 *     ferrule_perf_defaults(&params, sizeof(params), FERRULE_PERF_BW, FERRULE_PERF_WRITE);
 *     params.host = "192.168.7.2";
 *     ferrule_perf_t perf;
 *     ferrule_perf_open(&params, &perf);
 *     struct ferrule_perf_result result = {.size = sizeof(result)};
 *     ferrule_perf_measure(perf, 65536, &result);
 *     ferrule_perf_close(perf);
 *
 * Every error has a text in ferrule_comm_error_text(NULL).  Threads: an object belongs to one
 * thread at a time.  The two sides prove a key to each other, FERRULE_JOB_KEY or one that processes
 * of one user on one host share; between hosts without a key anybody is let in, with a warning.
 * Nothing is encrypted.
 */
#ifndef FERRULE_PERF_H
#define FERRULE_PERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferrule/status.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* What is measured. */
typedef enum ferrule_perf_test {
	FERRULE_PERF_BW,  /* messages one way (or both ways), as many as the path takes */
	FERRULE_PERF_LAT, /* one message at a time, there and back */
} ferrule_perf_test_t;

/* How a message moves. */
typedef enum ferrule_perf_op {
	FERRULE_PERF_WRITE,     /* RDMA WRITE; through a transport: put and notify */
	FERRULE_PERF_WRITE_IMM, /* RDMA WRITE WITH IMMEDIATE */
	FERRULE_PERF_READ,      /* RDMA READ */
	FERRULE_PERF_SEND,      /* SEND */
} ferrule_perf_op_t;

/* What is below the measurement. */
typedef enum ferrule_perf_via {
	FERRULE_PERF_VIA_VERBS,    /* queue pairs, as perftest uses them */
	FERRULE_PERF_VIA_CONTRACT, /* what Ferrule's collectives use: any transport of it */
} ferrule_perf_via_t;

/*
 * Parameters of a measurement.  Fill in with ferrule_perf_defaults() first, then change what
 * differs; members are only ever added at the end.  Numbers that say "-1" then leave the choice
 * to the library.  Those marked * must be equal on both sides; open tells which are not.
 */
struct ferrule_perf_params {
	size_t size;              /* sizeof(struct ferrule_perf_params) */
	ferrule_perf_test_t test; /* * */
	ferrule_perf_op_t op;     /* * */
	ferrule_perf_via_t via;   /* * */
	const char *transport;    /* * via contract: "shm", "tcp", "verbs", ...; NULL: verbs */
	const char *host;         /* the server, a name or an address; NULL: this is the server */
	const char *port;         /* number or service name; default "18515" */
	/* A stream socket that already leads to the other process, instead of host and port;
	 * -1: none.  The measurement closes it.  Then is_server says which side this is. */
	int control_fd;
	bool is_server;
	const char *device;    /* RDMA device; NULL: the first that can be used */
	int device_port;       /* its port; 0: the first that can be used */
	int gid_index;         /* GID table entry; -1: the best pair that both sides have */
	int mtu;               /* bytes; 0: what is active on both sides */
	uint64_t max_bytes;    /* * the largest message; default 65536 (BW), 2 (LAT) */
	uint64_t iterations;   /* * messages a queue pair; default 1000, 5000 for BW of WRITE */
	double duration_s;     /* * measure for so long instead; 0: by iterations */
	double margin_s;       /* * of it, not counted at either end; -1: 2 s, at most a quarter */
	int n_qps;             /* * queue pairs; default 1; BW only */
	int tx_depth;          /* messages under way a queue pair; default 128 */
	int rx_depth;          /* receives posted a queue pair; default 512 */
	int post_list;         /* messages a call that posts them; default 1; BW only */
	int cq_moderation;     /* messages a completion; -1: 100, above 8 KiB 1; BW only */
	int inline_bytes;      /* largest message inside the request; -1: 0, LAT 220 or 236 */
	bool is_bidirectional; /* * both sides send; BW only; not READ */
	bool use_events;       /* sleep until a completion comes instead of polling */
	bool use_rdma_cm;      /* * queue pairs are connected by librdmacm */
	int service_level;     /* 0 to 15; -1: FERRULE_IB_SL */
	int traffic_class;     /* 0 to 255; -1: FERRULE_IB_TC */
	int qp_timeout;        /* 4.096 us * 2^N; -1: FERRULE_IB_TIMEOUT */
	int retry_count;       /* 0 to 7; -1: FERRULE_IB_RETRY */
	bool validate;         /* * compare what arrived last with what was sent */
	int gpu;               /* memory of this CUDA device; -1: host memory */
	double wait_s;         /* until the other process comes; 0: server 3600, client 10 */
	double timeout_s;      /* longest wait for anything later; default 60 */
};

/* ferrule_perf_defaults - fills the `size` bytes of *params, sizeof(*params), with the defaults of
 * this test and operation. */
void ferrule_perf_defaults(struct ferrule_perf_params *params, size_t size,
                           ferrule_perf_test_t test, ferrule_perf_op_t op);

/* An open measurement. */
typedef struct ferrule_perf *ferrule_perf_t;

/*
 * ferrule_perf_open - finds the other process, agrees with it and makes the path.
 *
 * The server waits for one client; a client tries again for as long as nobody listens; both at
 * most wait_s.  Texts in `params` are copied.  Returns FERRULE_ERR_MISMATCH with both values in
 * the text when the two sides do not want the same; *perf_out is set on success only, and
 * nothing of a failed call remains.
 */
ferrule_status_t ferrule_perf_open(const struct ferrule_perf_params *params,
                                   ferrule_perf_t *perf_out);
/* ferrule_perf_close - ends the measurement and frees everything.  NULL is a no-op.  In a forked
 * child, where it is all that is allowed, it frees memory and leaves the parent's alone. */
void ferrule_perf_close(ferrule_perf_t perf);

/* One end of the path, for people. */
struct ferrule_perf_end {
	char name[96]; /* "LID 0x01 QPN 0x0012 PSN 0x51f036", or a process */
	char gid[64];  /* "" where there is none */
};
/* What the two sides have agreed on.  Set `size` to sizeof(struct ferrule_perf_setup). */
struct ferrule_perf_setup {
	size_t size;
	char device[64];                       /* RDMA device, or the transport's name */
	char link[16];                         /* "IB", "Ethernet"; "" via a transport */
	int mtu;                               /* bytes; 0 where it has no meaning */
	int gid_index;                         /* -1: none */
	int inline_bytes;                      /* what the device granted */
	int tx_depth, rx_depth, cq_moderation; /* as they will be for the largest message */
	bool relaxed_ordering;
	struct ferrule_perf_end local, remote;
};
ferrule_status_t ferrule_perf_describe(ferrule_perf_t perf, struct ferrule_perf_setup *out);

/* One size measured.  Set `size` to sizeof(struct ferrule_perf_result). */
struct ferrule_perf_result {
	size_t size;
	uint64_t bytes;
	uint64_t iterations; /* messages counted; LAT: round trips */
	/* BW: of one direction, or of both together when bidirectional.  The peak is the best
	 * average over any run of consecutive messages, each from its post to its completion. */
	double bw_peak;      /* bytes a second; 0 when measured by duration */
	double bw_average;   /* bytes a second */
	double message_rate; /* messages a second */
	/* LAT, in microseconds: half a round trip, a whole one for READ.  All samples count. */
	double t_min, t_max;
	double t_typical; /* the median */
	double t_avg;
	double t_stdev;
	double t_99, t_999; /* the least time that 99 % and 99.9 % of samples do not exceed */
	double seconds;     /* the time that was counted */
	uint64_t n_wrong;   /* bytes that are not what was sent, on both sides; see `validate` */
};

/*
 * ferrule_perf_measure - collective over the two processes: one size, 1 to max_bytes.
 *
 * Both sides get the same figures.  After an error only ferrule_perf_close() makes sense.  A
 * process that dies ends the other one's call within two seconds with FERRULE_ERR_PEER_DIED.
 */
ferrule_status_t ferrule_perf_measure(ferrule_perf_t perf, uint64_t bytes,
                                      struct ferrule_perf_result *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
