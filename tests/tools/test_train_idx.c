/* IDX: the format of MNIST, and files that only look like it. */
#include "config.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/t_main.h"
#include "tools/train/idx.h"

/* Three images of 2 x 2, and their labels. */
static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2,  0,  0,
                                       0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 9, 4};

static struct fr_dataset data;
static struct fr_train_error error;

struct bytes {
	const unsigned char *at;
	size_t n;
};

static unsigned char *copy_of(struct bytes b)
{
	unsigned char *copy = malloc(b.n > 0 ? b.n : 1);

	memcpy(copy, b.at, b.n);
	return copy;
}

/* Parses copies of exactly their sizes, so that a sanitizer sees a read past the end. */
static bool parse(struct bytes x, struct bytes y)
{
	unsigned char *x_copy = copy_of(x), *y_copy = copy_of(y);
	const struct fr_idx_file x_file = {"x", x_copy, x.n}, y_file = {"y", y_copy, y.n};

	fr_dataset_fini(&data);
	memset(&error, 0, sizeof(error));
	const bool ok = fr_idx_parse(&x_file, &y_file, &data, &error);

	free(x_copy);
	free(y_copy);
	return ok;
}

static const struct bytes good_images = {images, sizeof(images)};
static const struct bytes good_labels = {labels, sizeof(labels)};

/* Is an image file with one byte changed refused with this text? */
static bool refuses_image_byte(size_t at, unsigned char value, const char *text)
{
	unsigned char changed[sizeof(images)];

	memcpy(changed, images, sizeof(images));
	changed[at] = value;
	if (!parse((struct bytes){changed, sizeof(changed)}, good_labels) &&
	    strstr(error.text, text))
		return true;
	printf("  byte %zu = %d gave \"%s\"\n", at, value, error.text);
	return false;
}

static void test_images_and_labels_become_samples(void)
{
	CU_ASSERT_FATAL(parse(good_images, good_labels));
	CU_ASSERT_EQUAL(data.n, 3);
	CU_ASSERT_EQUAL(data.n_features, 4);
	CU_ASSERT_EQUAL(data.n_classes, 10);
	CU_ASSERT_EQUAL(data.bytes[11], 255);
	CU_ASSERT_EQUAL(data.labels[1], 9);
	CU_ASSERT_PTR_NULL(data.floats);
	fr_dataset_fini(&data);
}

static void test_bad_headers_say_what_was_expected(void)
{
	CU_ASSERT(refuses_image_byte(0, 1, "magic is 0x01000803"));
	CU_ASSERT(refuses_image_byte(2, 9, "0x00000803"));
	CU_ASSERT(refuses_image_byte(3, 1, "magic is 0x00000801"));
	CU_ASSERT(refuses_image_byte(3, 5, "2 to 4 dimensions"));
	CU_ASSERT(refuses_image_byte(3, 4, "x: "));
	CU_ASSERT(refuses_image_byte(7, 0, "dimension 1 is 0"));
	CU_ASSERT(refuses_image_byte(15, 0, "dimension 3 is 0"));
	CU_ASSERT(refuses_image_byte(7, 4, "4 samples of 4 bytes"));
	CU_ASSERT(refuses_image_byte(4, 255, "samples of 4 bytes"));
	CU_ASSERT(refuses_image_byte(8, 255, "larger than the whole file"));
	CU_ASSERT(refuses_image_byte(11, 20, "larger than the whole file"));
	/* Images where labels belong, and the other way round. */
	CU_ASSERT(!parse(good_labels, good_images));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "x: magic is 0x00000801; images"));
	CU_ASSERT(!parse(good_images, good_images));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "y: magic is 0x00000803; labels"));
}

static void test_every_truncation_is_an_error(void)
{
	for (size_t n = 0; n < sizeof(images); n++)
		CU_ASSERT(!parse((struct bytes){images, n}, good_labels));
	for (size_t n = 0; n < sizeof(labels); n++)
		CU_ASSERT(!parse(good_images, (struct bytes){labels, n}));
}

static void test_a_longer_file_is_an_error(void)
{
	unsigned char longer[sizeof(labels) + 1] = {0};

	memcpy(longer, labels, sizeof(labels));
	CU_ASSERT(!parse(good_images, (struct bytes){longer, sizeof(longer)}));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "4 bytes of data"));
}

static void test_counts_must_agree(void)
{
	static const unsigned char two[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 9};

	CU_ASSERT(!parse(good_images, (struct bytes){two, sizeof(two)}));
	CU_ASSERT_STRING_EQUAL(error.text, "x has 3 images, y has 2 labels");
}

static void test_it_is_recognised(void)
{
	CU_ASSERT(fr_idx_is(images, sizeof(images)));
	CU_ASSERT(!fr_idx_is(images, 3));
	CU_ASSERT(!fr_idx_is((const unsigned char *)"1,2,3\n", 6));
}

int main(void)
{
	static const struct t_case cases[] = {
		{"images and labels become samples", test_images_and_labels_become_samples},
		{"bad headers say what was expected", test_bad_headers_say_what_was_expected},
		{"every truncation is an error", test_every_truncation_is_an_error},
		{"a longer file is an error", test_a_longer_file_is_an_error},
		{"counts must agree", test_counts_must_agree},
		{"it is recognised", test_it_is_recognised},
		{NULL, NULL},
	};

	return t_main("train idx", cases);
}
