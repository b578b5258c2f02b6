"""Lines of text in what the journal keeps: a view of the flash, too long to copy, that cannot be searched."""

LEAST_BYTES = 512  # are copied at once: most lines are shorter


def lines(data):
    """Each line of `data` as bytes, without its end."""
    start = 0
    while start < len(data):
        length = LEAST_BYTES
        line = bytes(data[start : start + length])
        end = line.find(b"\n")
        while end < 0 and start + length < len(data):
            length *= 2
            line = bytes(data[start : start + length])
            end = line.find(b"\n")
        if end >= 0:
            line = line[:end]
        yield line
        start += len(line) + 1


def first_line(data):
    """The first of them; of nothing an empty one."""
    for line in lines(data):
        return line
    return b""
