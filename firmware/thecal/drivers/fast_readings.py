"""`watch.readings.advance` in the chip's own instructions; a chip test compares the two, sample by sample."""

import micropython

from ..watch import readings


# No constant may have more than 16 bits: it would be read from where the frozen code is not aligned for it.
@micropython.viper
def advance(words: ptr32, raw: int, tick: int):  # type: ignore  # noqa: F821
    """One sample, -1 for none. The numbers of the words are those of `readings`."""
    kind = 0
    if raw == -1:
        kind = 4  # STALE
    else:
        last = words[9]
        before = words[10]
        words[10] = last
        words[9] = raw
        if before != -1:
            bend = raw - 2 * last + before
            noise = words[12] + (bend if bend > 0 else 0 - bend)
            samples = words[13] + 1
            if samples == 64:
                if noise <= words[20]:
                    words[14] = 0
                elif words[14] < 3:
                    words[14] += 1
                noise = 0
                samples = 0
            words[12] = noise
            words[13] = samples
            if words[14] >= 3:
                kind = 6  # NOISE
        if raw != last:
            words[11] = 1
        else:
            most = 36000 if raw & 1023 == 512 else words[19]  # more at one of the wide codes
            if words[11] < most:
                words[11] += 1
            if words[19] > 0 and words[11] >= most:
                kind = 3  # STUCK
        if raw < words[17] or raw > words[18]:
            kind = 2 if raw <= 8 else 1 if raw >= 4087 else 5  # SHORT, OPEN, RANGE
    words[0] = kind
    if kind == 0:
        value = (raw - words[15]) * words[16]
        if words[22] > 1:
            value = value // words[22]
        words[1] = value
        words[2] = tick
        if value < words[4]:
            words[4] = value
        if value > words[5]:
            words[5] = value
        if words[8]:
            words[8] -= 1
            if words[8] == 0:
                words[3] = 0
        return
    if words[6] < words[21]:
        words[6] += 1
    weights = ptr8(readings.WEIGHT)  # type: ignore  # noqa: F821
    words[8] += weights[kind]
    if words[8] >= 20 or words[3]:
        words[8] = 20
        if words[3] == 0 and words[7] < words[21]:
            words[7] += 1
        words[3] = kind
