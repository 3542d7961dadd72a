/*
 * See idx.h.  The format: two zero bytes, a type (8: unsigned byte), the number of
 * dimensions, each dimension as a big-endian uint32, then the elements, last dimension fastest.
 */
#include "config.h"

#include "tools/train/idx.h"

#include <stdlib.h>
#include <string.h>

#define TYPE_UBYTE 8
#define MAX_DIMS   4

struct shape {
	size_t n, n_features; /* samples, elements a sample */
	const unsigned char *data;
};

static uint32_t get_be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

bool fr_idx_is(const unsigned char *bytes, size_t n)
{
	return n >= 4 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 8 && bytes[2] <= 14 &&
	       bytes[3] >= 1;
}

static bool read_magic(const struct fr_idx_file *f, int low_dims, int high_dims, int *n_dims_out,
                       struct fr_train_error *error)
{
	if (f->n < 4)
		return fr_train_fail(error, "%s: %zu bytes are no IDX file; its magic has 4",
		                     f->name, f->n);
	const uint32_t magic = get_be32(f->bytes);
	const int n_dims = (int)(magic & 0xff);

	if (magic >> 8 != TYPE_UBYTE || n_dims < low_dims || n_dims > high_dims)
		return fr_train_fail(error,
		                     "%s: magic is 0x%08x; %s in unsigned bytes have 0x%08x%s",
		                     f->name, magic, high_dims == 1 ? "labels" : "images",
		                     (TYPE_UBYTE << 8 | (unsigned)(high_dims == 1 ? 1 : 3)),
		                     high_dims == 1 ? "" : " (2 to 4 dimensions)");
	if (f->n < 4 + 4 * (size_t)n_dims)
		return fr_train_fail(error, "%s: %zu bytes, truncated in its %d dimensions",
		                     f->name, f->n, n_dims);
	*n_dims_out = n_dims;
	return true;
}

/* Reads the header and holds the file's size to it. */
static bool read_shape(const struct fr_idx_file *f, int low_dims, int high_dims, struct shape *out,
                       struct fr_train_error *error)
{
	int n_dims = 0;

	if (!read_magic(f, low_dims, high_dims, &n_dims, error))
		return false;
	const size_t header = 4 + 4 * (size_t)n_dims;
	size_t n_features = 1;

	for (int i = 0; i < n_dims; i++) {
		const uint32_t dim = get_be32(f->bytes + 4 + 4 * i);

		if (dim == 0)
			return fr_train_fail(error, "%s: dimension %d is 0", f->name, i + 1);
		/* All samples together must fit into the file, so one of them must. */
		if (i > 0 && (dim > f->n || n_features > f->n / dim))
			return fr_train_fail(error,
			                     "%s: samples larger than the whole file of %zu bytes",
			                     f->name, f->n);
		n_features *= i > 0 ? dim : 1;
	}
	const size_t n = get_be32(f->bytes + 4);

	if ((f->n - header) / n_features != n || (f->n - header) % n_features != 0)
		return fr_train_fail(error,
		                     "%s: %zu bytes of data where its dimensions ask for %zu "
		                     "samples of %zu bytes",
		                     f->name, f->n - header, n, n_features);
	*out = (struct shape){.n = n, .n_features = n_features, .data = f->bytes + header};
	return true;
}

bool fr_idx_parse(const struct fr_idx_file *images, const struct fr_idx_file *labels,
                  struct fr_dataset *out, struct fr_train_error *error)
{
	struct shape x, y;

	if (!read_shape(images, 2, MAX_DIMS, &x, error) || !read_shape(labels, 1, 1, &y, error))
		return false;
	if (x.n != y.n)
		return fr_train_fail(error, "%s has %zu images, %s has %zu labels", images->name,
		                     x.n, labels->name, y.n);
	struct fr_dataset d = {.n = x.n, .n_features = x.n_features};

	d.bytes = malloc(x.n * x.n_features);
	d.labels = malloc(y.n * sizeof(*d.labels));
	if (!d.bytes || !d.labels) {
		fr_dataset_fini(&d);
		return fr_train_fail(error, "%s: no memory for %zu images of %zu bytes",
		                     images->name, x.n, x.n_features);
	}
	memcpy(d.bytes, x.data, x.n * x.n_features);
	for (size_t i = 0; i < y.n; i++) {
		d.labels[i] = y.data[i];
		if (d.labels[i] >= d.n_classes)
			d.n_classes = d.labels[i] + 1;
	}
	*out = d;
	return true;
}
