/* wire.h - integers in messages: little endian, at any alignment. */
#ifndef FR_WIRE_H
#define FR_WIRE_H

#include <stdint.h>

static inline void fr_store_le16(unsigned char to[2], uint16_t value)
{
	to[0] = (unsigned char)value;
	to[1] = (unsigned char)(value >> 8);
}

static inline uint16_t fr_load_le16(const unsigned char from[2])
{
	return (uint16_t)(from[0] | from[1] << 8);
}

static inline void fr_store_le32(unsigned char to[4], uint32_t value)
{
	fr_store_le16(to, (uint16_t)value);
	fr_store_le16(to + 2, (uint16_t)(value >> 16));
}

static inline uint32_t fr_load_le32(const unsigned char from[4])
{
	return fr_load_le16(from) | (uint32_t)fr_load_le16(from + 2) << 16;
}

static inline void fr_store_le64(unsigned char to[8], uint64_t value)
{
	fr_store_le32(to, (uint32_t)value);
	fr_store_le32(to + 4, (uint32_t)(value >> 32));
}

static inline uint64_t fr_load_le64(const unsigned char from[8])
{
	return fr_load_le32(from) | (uint64_t)fr_load_le32(from + 4) << 32;
}

#endif
