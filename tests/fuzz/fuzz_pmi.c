/* What a launcher of PMI-1 or PMI-2 answers, and Slurm's list of hosts. */
#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/comm/boot_launcher.h"
#include "lib/comm/boot_pmi_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(int condition)
{
	if (!condition)
		abort();
}

static void read_message(enum fr_pmi_version version, const char *message)
{
	static const char *const names[] = {"cmd", "rc", "value", "size", ""};
	char out[32];
	int number;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		memset(out, 'x', sizeof(out));
		if (fr_pmi_value(version, message, names[i], out, 16))
			require(strlen(out) < 16 && out[16] == 'x');
		if (fr_pmi_number(version, message, names[i], 1, 9, &number))
			require(number >= 1 && number <= 9);
	}
	fr_pmi_is(version, message, "put_result");
}

static void read_length(const uint8_t *data, size_t bytes)
{
	size_t n;

	if (bytes >= FR_PMI_LENGTH_BYTES && fr_pmi_get_length((const char *)data, &n))
		require(n > 0 && n < FR_PMI_MESSAGE_BYTES);
}

static void read_hosts(const char *list)
{
	char host[24];
	bool is_only;

	if (fr_boot_first_host(list, host, sizeof(host), &is_only))
		require(host[0] && strlen(host) < sizeof(host) && !strpbrk(host, ",[] \n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text = malloc(bytes + 1);

	if (!text)
		return 0;
	memcpy(text, data, bytes);
	text[bytes] = '\0';
	read_message(FR_PMI_1, text);
	read_message(FR_PMI_2, text);
	read_length(data, bytes);
	read_hosts(text);
	free(text);
	return 0;
}
