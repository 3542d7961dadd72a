/* Gloo, as a peer; in C++ because its interface is. */
extern "C" {
#include "peer.h"
}

#include <cstdlib>
#include <memory>

#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

static std::shared_ptr<gloo::rendezvous::Context> context;

/* Started by `ferrule run`, so rank and size come as torchrun sets them. */
void peer_init(int *argc, char ***argv, int *rank, int *n_ranks)
{
	gloo::transport::tcp::attr attr;
	const char *dir = (*argv)[1];

	(void)argc;
	*rank = atoi(getenv("RANK"));
	*n_ranks = atoi(getenv("WORLD_SIZE"));
	attr.iface = "lo";
	context = std::make_shared<gloo::rendezvous::Context>(*rank, *n_ranks);
	gloo::rendezvous::FileStore store(dir);
	auto device = gloo::transport::tcp::CreateDevice(attr);
	context->connectFullMesh(store, device);
}

void *peer_alloc(size_t, int)
{
	return nullptr;
}

void peer_free(void *buffer, int)
{
	free(buffer);
}

static void allreduce(const float *send, float *recv, size_t count)
{
	gloo::AllreduceOptions opts(context);

	opts.setInput(const_cast<float *>(send), count);
	opts.setOutput(recv, count);
	opts.setReduceFunction(
		static_cast<void (*)(void *, const void *, const void *, size_t)>(&gloo::sum<float>));
	gloo::allreduce(opts);
}

void peer_call(enum peer_coll coll, const float *send, float *recv, size_t count)
{
	if (coll == PEER_ALLREDUCE) {
		allreduce(send, recv, count);
	} else if (coll == PEER_ALLGATHER) {
		gloo::AllgatherOptions opts(context);
		opts.setInput(const_cast<float *>(send), count);
		opts.setOutput(recv, count * context->size);
		gloo::allgather(opts);
	} else if (coll == PEER_BROADCAST) {
		gloo::BroadcastOptions opts(context);
		opts.setOutput(context->rank == 0 ? const_cast<float *>(send) : recv, count);
		opts.setRoot(0);
		gloo::broadcast(opts);
	} else {
		gloo::BarrierOptions opts(context);
		gloo::barrier(opts);
	}
}

void peer_fini(void)
{
	context.reset();
}
