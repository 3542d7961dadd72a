#include "tools/bench_plot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/gnuplot.h"

#define LABEL_BYTES 64

struct point {
	char label[LABEL_BYTES];
	bool is_in_place;
	double bytes, gbps;
};

struct fr_plot {
	struct point *points;
	size_t n, capacity;
	const char *axis;
};

static bool ends_with(const char *text, const char *end)
{
	const size_t length = strlen(text), end_length = strlen(end);
	return length > end_length && strcasecmp(text + length - end_length, end) == 0;
}

bool fr_plot_check(const char *file, char *why, size_t n)
{
	if (!ends_with(file, ".svg") && !ends_with(file, ".png")) {
		snprintf(why, n, "'%s' is not allowed; allowed: a name that ends in .svg or .png",
		         file);
		return false;
	}
	return fr_gnuplot_is_there(why, n);
}

struct fr_plot *fr_plot_create(void)
{
	struct fr_plot *const p = calloc(1, sizeof(*p));

	if (p)
		p->axis = "bus bandwidth (GB/s)";
	return p;
}

void fr_plot_set_axis(struct fr_plot *p, const char *axis)
{
	p->axis = axis;
}

void fr_plot_destroy(struct fr_plot *p)
{
	if (!p)
		return;
	free(p->points);
	free(p);
}

bool fr_plot_add(struct fr_plot *p, const char *label, bool is_in_place, double bytes, double gbps)
{
	if (bytes <= 0 || gbps <= 0)
		return true;
	if (p->n == p->capacity) {
		const size_t capacity = p->capacity ? 2 * p->capacity : 64;
		struct point *const grown = realloc(p->points, capacity * sizeof(*grown));
		if (!grown)
			return false;
		p->points = grown;
		p->capacity = capacity;
	}
	struct point *const point = &p->points[p->n++];
	snprintf(point->label, sizeof(point->label), "%s", label);
	point->is_in_place = is_in_place;
	point->bytes = bytes;
	point->gbps = gbps;
	return true;
}

static bool is_same_curve(const struct point *a, const struct point *b)
{
	return a->is_in_place == b->is_in_place && strcmp(a->label, b->label) == 0;
}

/* Is the point the first one of its curve? */
static bool begins_curve(const struct fr_plot *p, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (is_same_curve(&p->points[k], &p->points[i]))
			return false;
	}
	return true;
}

/* Curves of one label share a colour: one for each label, from 1. */
static int colour_of(const struct fr_plot *p, size_t i)
{
	int colour = 1;
	for (size_t k = 0; strcmp(p->points[k].label, p->points[i].label) != 0; k++) {
		size_t first = 0;
		while (strcmp(p->points[first].label, p->points[k].label) != 0)
			first++;
		colour += first == k;
	}
	return colour;
}

static void write_curve(const struct fr_plot *p, const struct point *first, FILE *out)
{
	for (size_t i = 0; i < p->n; i++) {
		if (is_same_curve(&p->points[i], first))
			fprintf(out, "%.0f %.9g\n", p->points[i].bytes, p->points[i].gbps);
	}
	fputs("e\n", out);
}

static void write_head(const struct fr_plot *p, FILE *out, const char *title, const char *file)
{
	if (ends_with(file, ".svg"))
		fputs("set terminal svg size 1100,600 dynamic background '#ffffff' noenhanced\n",
		      out);
	else
		fputs("if (strstrt(GPVAL_TERMINALS, 'pngcairo')) {\n"
		      "set terminal pngcairo size 1100,600 noenhanced\n"
		      "} else {\nset terminal png size 1100,600 noenhanced\n}\n",
		      out);
	fputs("set title ", out);
	fr_gnuplot_quote(out, title);
	fputs("\nset xlabel 'size (bytes)'\nset ylabel ", out);
	fr_gnuplot_quote(out, p->axis);
	fputs("\nset logscale x 2\n"
	      "set logscale y 10\n"
	      "set format x '%.0b%B'\n"
	      "set format y '%g'\n"
	      "set grid\n"
	      "set key outside right top samplen 2\n"
	      "plot ",
	      out);
}

static void write_script(const struct fr_plot *p, const char *title, const char *file, FILE *out)
{
	write_head(p, out, title, file);
	for (size_t i = 0; i < p->n; i++) {
		if (!begins_curve(p, i))
			continue;
		char title_text[LABEL_BYTES + 16];
		const bool is_in_place = p->points[i].is_in_place;
		snprintf(title_text, sizeof(title_text), "%s%s", p->points[i].label,
		         is_in_place ? ", in place" : "");
		fprintf(out,
		        "%s'-' using 1:2 with linespoints linewidth 2 linecolor %d dashtype %d "
		        "pointtype %d title ",
		        i ? ", " : "", colour_of(p, i), is_in_place ? 2 : 1, colour_of(p, i));
		fr_gnuplot_quote(out, title_text);
	}
	fputc('\n', out);
	for (size_t i = 0; i < p->n; i++) {
		if (begins_curve(p, i))
			write_curve(p, &p->points[i], out);
	}
}

bool fr_plot_write(const struct fr_plot *p, const char *title, const char *file, char *why,
                   size_t n)
{
	if (p->n == 0) {
		snprintf(why, n, "there is no point to draw");
		return false;
	}
	FILE *const script = tmpfile();
	if (!script) {
		snprintf(why, n, "cannot make a temporary file: %s", strerror(errno));
		return false;
	}
	write_script(p, title, file, script);
	const bool is_drawn = fr_gnuplot_draw(script, file, why, n);
	fclose(script);
	return is_drawn;
}
