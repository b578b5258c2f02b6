"""The board's own search for a name (`boards/common/lookup.c`) finds what is there, and nothing else."""

import pytest

pytestmark = pytest.mark.chip


def test_what_is_in_a_table_is_found_and_nothing_else(prompt):
    """Attributes set, read, deleted and looked for in vain, of objects of two classes that come and go; the
    same with dictionaries of every size and kind of key; held against lists that are searched one by one.
    """
    printed = prompt.run(
        """
import gc
state = 12345
def draw(below):
    global state
    state = (state * 69 + 13) & 0xFFFF
    return (state >> 3) % below
class One:
    shared = -1
    def told(self):
        return 1
class Other:
    def shared(self):
        return 2
    def told(self):
        return 3
names = ["n%d" % number for number in range(60)] + ["shared", "told"]
class Model:
    def __init__(self):
        self.keys = []
        self.values = []
    def put(self, key, value):
        if key in self.keys:
            self.values[self.keys.index(key)] = value
        else:
            self.keys.append(key)
            self.values.append(value)
    def drop(self, key):
        index = self.keys.index(key)
        self.keys.pop(index)
        self.values.pop(index)
def of_class(thing, name):
    if name == "told":
        return thing.told() == (1 if type(thing) is One else 3)
    if name == "shared":
        return thing.shared == -1 if type(thing) is One else thing.shared() == 2
    return not hasattr(thing, name)
wrong = tried = 0
things = [(One(), Model()) for _ in range(12)]
for turn in range(6000):
    place = draw(12)
    thing, model = things[place]
    size = (4, 8, 12, 17, 62)[place % 5]
    name = names[draw(size)] if draw(9) else names[60 + draw(2)]
    what = draw(8)
    tried += 1
    if what < 3:
        setattr(thing, name, turn)
        model.put(name, turn)
    elif what == 3 and name in model.keys:
        delattr(thing, name)
        model.drop(name)
    elif name in model.keys:
        wrong += getattr(thing, name) != model.values[model.keys.index(name)]
    else:
        wrong += not of_class(thing, name)
    if not draw(90):
        things[place] = ((One, Other)[draw(2)](), Model())
    if not draw(400):
        gc.collect()
print(tried, wrong)
wrong = tried = 0
things = [({}, Model()) for _ in range(10)]
keys = names + [0, 1, -1, 5000, 1 << 40, (1, 2), b"n1", None, True, "n%d-" % 1]
for turn in range(5000):
    place = draw(10)
    table, model = things[place]
    key = keys[draw((3, 9, 20, 62, len(keys))[place % 5])]
    what = draw(8)
    tried += 1
    if what < 3:
        table[key] = turn
        model.put(key, turn)
    elif what == 3 and key in model.keys:
        del table[key]
        model.drop(key)
    elif key in model.keys:
        wrong += table.get(key) != model.values[model.keys.index(key)]
    else:
        wrong += key in table or table.get(key, "no") != "no"
    if not draw(150):
        if draw(2):
            table.clear()
            things[place] = (table, Model())
        else:
            things[place] = (table.copy(), model)
    wrong += len(table) != len(things[place][1].keys)
print(tried, wrong)
""",
        limit_ms=120_000,
    )
    assert printed.split() == ["6000", "0", "5000", "0"]
