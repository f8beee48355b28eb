/*
 * bech32.c
 *		Decodes Bech32 (BIP 173), the alphabet of age recipients.
 *
 * Without that standard's limit of 90 characters, as age has it, and lower
 * case only, as age writes and reads recipients.
 */
#include "postgres.h"

#include "sink/age/age.h"

#define BECH32_CHECKSUM_LEN 6

static const char bech32_alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* One step of the checksum, a BCH code over groups of five bits. */
static uint32
bech32_step(uint32 sum, uint8 group)
{
	static const uint32 generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa,
										0x3d4233dd, 0x2a1462b3};
	uint8				top = sum >> 25;

	sum = ((sum & 0x1ffffff) << 5) ^ group;
	for (int bit = 0; bit < 5; bit++)
		if ((top >> bit) & 1)
			sum ^= generator[bit];
	return sum;
}

static uint32
bech32_begin(const char *prefix)
{
	uint32 sum = 1;

	for (const char *c = prefix; *c; c++)
		sum = bech32_step(sum, (uint8) *c >> 5);
	sum = bech32_step(sum, 0);
	for (const char *c = prefix; *c; c++)
		sum = bech32_step(sum, (uint8) *c & 31);
	return sum;
}

/* Says what is wrong with the letters alone. */
static const char *
bech32_check_letters(const char *text, const char *prefix)
{
	size_t prefix_len = strlen(prefix);
	bool   upper = false;
	bool   lower = false;

	for (const char *c = text; *c; c++)
	{
		upper |= (*c >= 'A' && *c <= 'Z');
		lower |= (*c >= 'a' && *c <= 'z');
	}
	if (upper && lower)
		return "It mixes upper and lower case.";
	if (upper)
		return "It is in upper case; recipients are in lower case.";
	if (strncmp(text, prefix, prefix_len) != 0 || text[prefix_len] != '1')
		return "It does not start with \"age1\".";
	/* another prefix that starts like ours, such as a plugin's */
	if (strrchr(text, '1') != text + prefix_len)
		return "It is not an X25519 recipient.";
	for (const char *c = text + prefix_len + 1; *c; c++)
		if (strchr(bech32_alphabet, *c) == NULL)
			return "It holds a character that no recipient has.";
	return NULL;
}

const char *
bech32_decode(const char *text, const char *prefix, uint8 *data, size_t len)
{
	const char *wrong = bech32_check_letters(text, prefix);
	const char *groups;
	size_t		count;
	size_t		made = 0;
	uint32		sum;
	uint32		bits = 0;
	int			held = 0;

	if (wrong)
		return wrong;

	groups = text + strlen(prefix) + 1;
	count = strlen(groups);
	if (count != (len * 8 + 4) / 5 + BECH32_CHECKSUM_LEN)
		return "It has the wrong length.";

	sum = bech32_begin(prefix);
	for (size_t i = 0; i < count; i++)
	{
		uint8 group = strchr(bech32_alphabet, groups[i]) - bech32_alphabet;

		sum = bech32_step(sum, group);
		if (i >= count - BECH32_CHECKSUM_LEN)
			continue;
		bits = (bits << 5) | group;
		held += 5;
		if (held >= 8)
		{
			held -= 8;
			data[made++] = (bits >> held) & 0xff;
		}
	}
	if (sum != 1)
		return "Its checksum does not match.";
	Assert(made == len);
	if ((bits & ((1 << held) - 1)) != 0)
		return "Its unused bits are not zero.";
	return NULL;
}
