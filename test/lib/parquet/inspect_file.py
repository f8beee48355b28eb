"""inspect_file.py: a Parquet file taken apart by hand.

Reads footer, page headers and page indexes with a Thrift reader of its own and
compares what they say with the bytes and, through PyArrow's values, with what
the pages hold.  inspect(path) returns the list of complaints.
"""
import math
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

import readers


class Thrift:
    """The compact protocol: structs as {field id: value}."""

    def __init__(self, data, at=0):
        self.data = data
        self.at = at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        result = shift = 0
        while True:
            b = self.byte()
            result |= (b & 0x7F) << shift
            shift += 7
            if b < 0x80:
                return result

    def zigzag(self):
        n = self.varint()
        return (n >> 1) ^ -(n & 1)

    def value(self, kind):
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return struct.unpack('<d', self.data[self.at - 8:self.at])[0]
        if kind == 8:
            n = self.varint()
            self.at += n
            return bytes(self.data[self.at - n:self.at])
        if kind == 9:
            head = self.byte()
            n, kind = head >> 4, head & 15
            n = self.varint() if n == 15 else n
            if kind in (1, 2):
                return [self.byte() == 1 for _ in range(n)]
            return [self.value(kind) for _ in range(n)]
        if kind == 12:
            return self.struct()
        raise ValueError(f'thrift type {kind}')

    def struct(self):
        result, last = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return result
            last = last + (head >> 4) if head >> 4 else self.zigzag()
            if last in result:
                raise ValueError(f'field {last} twice')
            result[last] = self.value(head & 15)


# ---- values of a leaf, page by page, out of PyArrow's arrays

def leaf_values(array, path):
    """Values below path, None for everything else that takes a level."""
    array = readers.plain(array)
    if pa.types.is_list(array.type):
        if path[1:2] != ['list']:
            raise ValueError(f'list without its levels: {path}')
        result = []
        for item in array:
            if not item.is_valid or len(item.values) == 0:
                result.append(None)
            else:
                result += leaf_values(item.values, path[2:])
        return result
    if pa.types.is_struct(array.type):
        inner = leaf_values_each(array, path[1])
        result = []
        for i, valid in enumerate(array.is_valid().to_pylist()):
            if not valid:
                result.append(None)
            else:
                result += leaf_values(inner.slice(i, 1), path[1:])
        return result
    if pa.types.is_date32(array.type):
        array = array.view(pa.int32())
    elif pa.types.is_timestamp(array.type) or pa.types.is_time64(array.type):
        array = array.view(pa.int64())
    return array.to_pylist()


def leaf_values_each(array, name):
    index = array.type.get_field_index(name)
    return array.field(index)


def comparable(element, value):
    """A value as its column order compares it."""
    physical = element[1]
    if physical in (6, 7) and 5 not in element.get(10, {}):
        return value.encode() if isinstance(value, str) else bytes(value)
    return value


def bound_value(element, data):
    physical = element[1]
    logical = element.get(10, {})
    scale = logical[5].get(1, 0) if 5 in logical else None
    if physical == 0:
        return data != b'\0'
    if physical in (1, 2):
        unsigned = 10 in logical and not logical[10].get(2)
        n = int.from_bytes(data, 'little', signed=not unsigned)
    elif physical == 4:
        return struct.unpack('<f', data)[0]
    elif physical == 5:
        return struct.unpack('<d', data)[0]
    elif scale is not None:
        n = int.from_bytes(data, 'big', signed=True)
    else:
        return data
    if scale is None:
        return n
    import decimal
    return decimal.Decimal(n).scaleb(-scale, decimal.Context(prec=50))


class Inspection:
    def __init__(self, path):
        self.path = path
        with open(path, 'rb') as file:
            self.data = file.read()
        self.complaints = []
        self.unbounded, self.bounded, self.left_out = set(), set(), set()

    def check(self, good, text):
        if not good:
            self.complaints.append(text)

    def run(self):
        data = self.data
        self.check(data[:4] == b'PAR1' and data[-4:] == b'PAR1', 'magic')
        size = struct.unpack('<I', data[-8:-4])[0]
        reader = Thrift(data, len(data) - 8 - size)
        meta = reader.struct()
        self.check(reader.at == len(data) - 8, 'footer length')
        self.check(meta[1] == 1, 'version')
        self.check(meta[6].startswith(b'outflow version '), 'created_by')
        self.leaves = self.find_leaves(meta[2])
        self.check(len(meta[7]) == len(self.leaves), 'column orders')
        self.check(all(o == {1: {}} for o in meta[7]), 'column order')
        self.check(meta[3] == sum(g[3] for g in meta[4]), 'rows of groups')
        self.covered = [(0, 4)]
        for number, group in enumerate(meta[4]):
            self.group(number, group)
        self.covered.append((len(data) - 8 - size, len(data)))
        # in the statistics of all row groups, or of none
        self.check(not self.unbounded & self.bounded, 'bounds of some groups')
        self.check(self.left_out <= self.unbounded, 'a bound is missing')
        self.check_coverage()
        return self.complaints

    def find_leaves(self, schema):
        """[(path, element)], depth first."""
        result = []

        def walk(at, path):
            element = schema[at]
            name = element[4].decode()
            at += 1
            here = path + [name]
            if 5 not in element:
                result.append((here, element))
            for _ in range(element.get(5, 0)):
                at = walk(at, here)
            return at

        at = 1
        for _ in range(schema[0][5]):
            at = walk(at, [])
        self.check(at == len(schema), 'schema length')
        return result

    def group(self, number, group):
        where = f'row group {number}'
        table = pq.ParquetFile(self.path).read_row_group(number)
        self.check(group.get(7) == number, f'{where}: ordinal')
        self.check(len(group[1]) == len(self.leaves), f'{where}: chunks')
        self.check(table.num_rows == group[3], f'{where}: rows')
        for chunk, (path, element) in zip(group[1], self.leaves):
            self.chunk(f'{where}, {".".join(path)}', chunk, path, element,
                       readers.column(table, path[0]), group[3])
        self.check(group[2] == sum(c[3][6] for c in group[1]),
                   f'{where}: uncompressed size')
        self.check(group[6] == sum(c[3][7] for c in group[1]),
                   f'{where}: compressed size')
        first = group[1][0][3]
        self.check(group[5] == first.get(11, first[9]), f'{where}: offset')

    def chunk(self, where, chunk, path, element, array, rows):
        meta = chunk[3]
        self.check(meta[1] == element[1], f'{where}: type')
        self.check([p.decode() for p in meta[3]] == path, f'{where}: path')
        start = meta.get(11, meta[9])
        self.covered.append((start, start + meta[7]))
        pages = self.pages(where, meta, start)
        offsets = Thrift(self.data, chunk[4]).struct()[1]
        self.covered.append((chunk[4], chunk[4] + chunk[5]))
        self.check([(o[1], o[2]) for o in offsets]
                   == [(p['at'], p['size']) for p in pages],
                   f'{where}: offset index')
        firsts = [o[3] for o in offsets] + [rows]
        self.check(firsts[0] == 0 and firsts == sorted(firsts),
                   f'{where}: first rows')
        held = [leaf_values(array.slice(a, b - a), path)
                for a, b in zip(firsts, firsts[1:])]
        self.check([len(h) for h in held] == [p['count'] for p in pages],
                   f'{where}: values of pages')
        self.check(sum(len(h) for h in held) == meta[5], f'{where}: values')
        self.statistics(where, tuple(path), meta[12], element,
                        [v for h in held for v in h])
        if 6 in chunk:
            self.covered.append((chunk[6], chunk[6] + chunk[7]))
            self.column_index(where, Thrift(self.data, chunk[6]).struct(),
                              element, held)
        else:
            self.check(any(unbounded(h) for h in held),
                       f'{where}: no column index')

    def pages(self, where, meta, start):
        """Data pages with their places, after checks of their headers."""
        at, end, plain, pages = start, start + meta[7], 0, []
        kinds = {}
        while at < end:
            reader = Thrift(self.data, at)
            header = reader.struct()
            body = self.data[reader.at:reader.at + header[3]]
            self.check(zlib.crc32(body) == header[4] & 0xFFFFFFFF,
                       f'{where}: CRC at {at}')
            size = reader.at - at + header[3]
            plain += reader.at - at + header[2]
            if header[1] == 2:
                self.check(at == meta.get(11), f'{where}: dictionary')
                encoding = header[7][2]
            else:
                encoding = header[5][2]
                pages.append({'at': at, 'size': size, 'count': header[5][1]})
            key = (header[1], encoding)
            kinds[key] = kinds.get(key, 0) + 1
            at += size
        self.check(at == end, f'{where}: size')
        self.check(plain == meta[6], f'{where}: uncompressed size')
        self.check(pages[0]['at'] == meta[9], f'{where}: first page')
        self.check(kinds == {(s[1], s[2]): s[3] for s in meta[13]},
                   f'{where}: encoding statistics')
        used = {encoding for _, encoding in kinds}
        self.check(used <= set(meta[2]), f'{where}: encodings')
        return pages

    def statistics(self, where, path, stats, element, held):
        self.check(stats[3] == sum(v is None for v in held),
                   f'{where}: null count')
        self.check((5 in stats) == (6 in stats), f'{where}: one bound')
        for field, pick in ((5, max), (6, min)):
            if field in stats:
                self.bound(f'{where}: statistics', element, stats[field],
                           held, pick, stats[8 if field == 6 else 7])
        if unbounded(held):
            self.unbounded.add(path)
        if 5 in stats:
            self.bounded.add(path)
        elif any(v is not None for v in held) and not unbounded(held):
            self.left_out.add(path)

    def column_index(self, where, index, element, held):
        bounds = []
        self.check(index[1] == [all(v is None for v in h) for h in held],
                   f'{where}: null pages')
        self.check(index[5] == [sum(v is None for v in h) for h in held],
                   f'{where}: null counts')
        for null, low, high, h in zip(index[1], index[2], index[3], held):
            if null:
                self.check(low == high == b'', f'{where}: bounds of no value')
                continue
            self.bound(f'{where}: page minimum', element, low, h, min, None)
            self.bound(f'{where}: page maximum', element, high, h, max, None)
            bounds.append((bound_value(element, low),
                           bound_value(element, high)))
        lows = [b[0] for b in bounds]
        highs = [b[1] for b in bounds]
        order = index[4]
        self.check(order == 0 or
                   (order == 1 and lows == sorted(lows)
                    and highs == sorted(highs)) or
                   (order == 2 and lows == sorted(lows, reverse=True)
                    and highs == sorted(highs, reverse=True)),
                   f'{where}: boundary order')

    def bound(self, where, element, data, held, pick, exact):
        values = [comparable(element, v) for v in held if v is not None]
        if not values or unbounded(held):
            self.check(False, f'{where}: a bound of no value, or of NaN')
            return
        bound, true = bound_value(element, data), pick(values)
        if isinstance(true, bytes) and len(true) > 64:
            self.check(len(data) <= 64, f'{where}: bound too long')
            self.check(bound <= true if pick is min else bound >= true,
                       f'{where}: {bound!r} does not bound {true!r}')
            self.check(not exact, f'{where}: cut but called exact')
            if element.get(10) and 1 in element[10]:
                data.decode()  # a text stays one
        else:
            zero = true == 0 and isinstance(true, float)
            self.check(bound == true, f'{where}: {bound!r} is not {true!r}')
            self.check(exact is None or exact != zero, f'{where}: exactness')
            if zero:
                self.check(math.copysign(1, bound) == (-1 if pick is min
                                                       else 1),
                           f'{where}: sign of zero')

    def check_coverage(self):
        """Every byte belongs to exactly one thing."""
        at = 0
        for start, end in sorted(self.covered):
            self.check(start == at, f'bytes {at} to {start} are nobody\'s')
            at = end
        self.check(at == len(self.data), 'end of file')


def unbounded(held):
    """What readers order in ways of their own, or what has no short bound."""
    return uncuttable(held) or any(isinstance(v, float) and math.isnan(v)
                                   for v in held)


def uncuttable(held):
    """A long maximum that begins with nothing but the greatest byte or
    character has no shorter bound."""
    values = [v for v in held if isinstance(v, (bytes, str))]
    if not values:
        return False
    first = b'\xff' * 64 if isinstance(values[0], bytes) else '\U0010ffff' * 16
    return max(values).startswith(first)


def page_encodings(path):
    """By row group and leaf: how many data pages have which encoding."""
    with open(path, 'rb') as file:
        data = file.read()
    size = struct.unpack('<I', data[-8:-4])[0]
    meta = Thrift(data, len(data) - 8 - size).struct()
    return [[{s[2]: s[3] for s in chunk[3][13] if s[1] == 0}
             for chunk in group[1]] for group in meta[4]]


def inspect(path):
    return Inspection(path).run()
