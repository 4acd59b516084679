"""Changes to valid data: bytes, JSON, protobuf, pickles, archives, PNG. All follow from a random seed."""

from __future__ import annotations

import io
import itertools
import json
import pickletools
import random
import struct
import zipfile
import zlib
from typing import Any

NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**53,
)
EXTREMES = (*NUMBERS, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -1, -2, -(2**31), -(2**63))
DEEP, DIGITS = "@deep@", "@digits@"  # stand for what json.dumps cannot write
ODD = (
    None, True, False, 0.5, -0.5, 1e308, -1e308, float("nan"), float("inf"), "", "a", "\0", "\x1b[31m", "\n",
    "é", "a" * 5000, [], {}, [[]], [None], {"": None}, DEEP, DIGITS, 10**400, *EXTREMES,
)  # fmt: skip


def odd(rng: random.Random) -> Any:
    """Something that has no business where it comes."""
    value = rng.choice(ODD)
    return json.loads(json.dumps(value)) if isinstance(value, list | dict) else value


def of_bytes(rng: random.Random, data: bytes, other: bytes = b"", front: int = 0) -> bytes:
    """Data with one to a few places flipped, overwritten, cut, doubled or taken from other data.

    With `front` most places lie within that many bytes of the start, where headers are.
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        size = len(changed)
        limit = min(size, front) if front and rng.random() < 0.8 else size
        at = rng.randrange(limit) if limit else 0
        match rng.randrange(8):
            case 0 if size:
                changed[at] ^= 1 << rng.randrange(8)
            case 1 if size:
                changed[at] = rng.choice((0, 1, 2, 127, 128, 254, 255, rng.randrange(256)))
            case 2:
                del changed[at:]
            case 3:
                del changed[at : at + rng.randrange(1, 40)]
            case 4:
                changed[at:at] = bytes(changed[at : at + rng.randrange(1, 200)])
            case 5 if other:
                start = rng.randrange(len(other))
                changed[at : at + rng.randrange(100)] = other[start : start + rng.randrange(100)]
            case 6:
                form = rng.choice((">I", "<I", ">H", "<H", "<Q", ">Q"))
                bits = 8 * struct.calcsize(form)
                number = struct.pack(form, rng.choice(EXTREMES) % (1 << bits))
                changed[at : at + len(number)] = number
            case _:
                changed[at:at] = rng.randbytes(rng.randrange(1, 30))
    return bytes(changed)


def of_json(rng: random.Random, value: Any) -> str:
    """The text of a JSON value with something else in one or two places, and sometimes a flaw in the text."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2))):
        value = _replaced(rng, value)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    text = text.replace(f'"{DEEP}"', "[" * 20000 + "]" * 20000).replace(f'"{DIGITS}"', "9" * 6000)
    if rng.random() < 0.1 and '": ' in text:  # a name given twice
        name = rng.choice([part.rpartition('"')[2] for part in text.split('": ')[:-1]])
        text = text.replace(f'"{name}": ', f'"{name}": {rng.choice(("1", "null", "[]"))}, "{name}": ', 1)
    if rng.random() < 0.05:
        text = text.replace("a", "\\ud800", 1)
    if rng.random() < 0.1:
        text = of_bytes(rng, text.encode("utf-8", "replace")).decode("latin-1")
    return text


def _replaced(rng: random.Random, value: Any) -> Any:
    """The value with one node of it replaced, removed or renamed."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            if isinstance(child, dict | list):
                walk(child)

    if isinstance(value, dict | list):
        walk(value)
    if not places or rng.random() < 0.02:
        return odd(rng)
    node, key = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice((key.upper(), key + "x", "", "__metadata__"))] = node.pop(key)
        case 2:
            other, name = rng.choice(places)
            node[key] = (
                json.loads(json.dumps(other[name])) if name in other or isinstance(name, int) else None
            )
        case 3 if isinstance(node, list):
            node.insert(key, odd(rng))
        case 4 if isinstance(node[key], int | float):
            inside = max(min(node[key], 10**300), -(10**300))  # a float has no more
            choices = (node[key] + 1, node[key] - 1, -node[key], node[key] * 1000, float(inside))
            node[key] = rng.choice(choices)
        case _:
            node[key] = odd(rng)
    return value


# What a pickle would run: function, and arguments made of the path that it would write to.
EVIL = (
    ("os", "system", "touch {0}"),
    ("posix", "system", "touch {0}"),
    ("builtins", "eval", "open({0!r}, 'w')"),
    ("builtins", "exec", "open({0!r}, 'w')"),
    ("__builtin__", "eval", "open({0!r}, 'w')"),
    ("builtins", "open", "{0}"),
    ("subprocess", "Popen", "touch {0}"),
    ("subprocess", "check_output", "touch {0}"),
    ("pathlib", "Path.touch", "{0}"),
    ("builtins", "bytearray", None),
    ("builtins", "list", None),
    ("torch", "FloatTensor", None),
    ("torch", "load", "{0}"),
    ("torch.hub", "load_state_dict_from_url", "http://127.0.0.1/{0}"),
    ("numpy", "load", "{0}"),
    ("cnnx", "save", "{0}"),
    ("cnnx.files", "write_file", "{0}"),
    ("importlib", "import_module", "antigravity"),
    ("collections", "OrderedDict.fromkeys", "{0}"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__", "{0}"),
    ("ctypes", "CDLL", "{0}"),
)


def _varint(value: int) -> bytes:
    value %= 1 << 64
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _fields(data: bytes) -> list[tuple[int, int, Any]] | None:
    """The fields of a message of protobuf: number, wire type, and a number or bytes; None if it is none."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                return value, at

    fields: list[tuple[int, int, Any]] = []
    at = 0
    try:
        while at < len(data):
            key, at = varint(at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = varint(at)
                fields.append((number, kind, value))
                continue
            if kind == 2:
                size, at = varint(at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                return None
            if number == 0 or at + size > len(data):
                return None
            fields.append((number, kind, data[at : at + size]))
            at += size
    except IndexError:
        return None
    return fields


def of_message(rng: random.Random, data: bytes) -> bytes:
    """A message of protobuf with one thing within changed: the sizes around it are right again."""
    fields = _fields(data)
    if not fields:
        return of_bytes(rng, data)
    at = rng.randrange(len(fields))
    number, kind, value = fields[at]
    match rng.randrange(10):
        case 0:
            del fields[at]
        case 1:
            fields.insert(rng.randrange(len(fields) + 1), fields[at])
        case 2:
            other = rng.randrange(len(fields))
            fields[at], fields[other] = fields[other], fields[at]
        case 3:
            fields[at] = (rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 20, 2**29 - 1)), kind, value)
        case _ if kind == 0:
            fields[at] = (number, kind, rng.choice((value + 1, value - 1, -value, *EXTREMES)))
        case 4 if kind == 2:  # what stands elsewhere: names, shapes
            fields[at] = (number, kind, rng.choice([v for _, k, v in fields if k == 2]))
        case _ if kind == 2 and _fields(value):
            fields[at] = (number, kind, of_message(rng, value))
        case _:
            fields[at] = (number, kind, of_bytes(rng, value) if kind == 2 else rng.randbytes(len(value)))
    out = bytearray()
    for number, kind, value in fields:
        out += _varint(number << 3 | kind)
        out += _varint(value) if kind == 0 else (_varint(len(value)) if kind == 2 else b"") + value
    return bytes(out)


def evil(rng: random.Random, marker: str) -> bytes:
    """Operations of a pickle that call something."""
    module, name, argument = rng.choice(EVIL)
    text = None if argument is None else argument.format(marker).encode()
    pushed = b"J\xff\xff\xff\x7f" if text is None else b"X" + struct.pack("<I", len(text)) + text
    named = f"c{module}\n{name}\n".encode()
    match rng.randrange(4):
        case 0:
            return named + pushed + b"\x85R"
        case 1:
            return named + pushed + b"\x85\x81"
        case 2:
            return named + b")R" + pushed + b"b"
        case _:
            return (
                b"\x8c"
                + bytes([len(module)])
                + module.encode()
                + b"\x8c"
                + bytes([len(name)])
                + name.encode()
                + (b"\x93" + pushed + b"\x85R")
            )


# Operations to put in: all the short ones, lengths and numbers beyond what there is, much of one kind.
OPERATIONS = (
    *(bytes([code]) for code in b"(012N)]}tldaesuRb\x81\x92Q\x94\x8f\x90\x91"),
    b"j\xff\xff\xff\xff", b"r\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f",
    b"\x8e" + b"\xff" * 8, b"\x95" + b"\xff" * 8, b"\x96" + b"\xff" * 8, b"I" + b"9" * 5000 + b"\n",
    b"F1e999\n", b"Px\n", b"\x86q\x01" * 40, b"]a" * 2000, b"\x85" * 3000, b"K\x01" + b"2\x86" * 40,
)  # fmt: skip

NAMES = (
    ("torch", "FloatStorage"), ("torch", "HalfStorage"), ("torch", "BoolStorage"), ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._utils", "_rebuild_qtensor"), ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._tensor", "_rebuild_from_type_v2"), ("collections", "OrderedDict"), ("", ""), ("a", ""),
)  # fmt: skip


def of_pickle(rng: random.Random, data: bytes, marker: str) -> bytes:
    """A pickle with some of its operations changed."""
    stops = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    ops = [data[a:b] for a, b in itertools.pairwise(stops)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(ops))
        integers = [i for i, op in enumerate(ops) if op[:1] in b"KMJ\x8a"]
        match rng.randrange(9):
            case 0:
                del ops[at]
            case 1:
                ops.insert(at, ops[rng.randrange(len(ops))])
            case 2:
                other = rng.randrange(len(ops))
                ops[at], ops[other] = ops[other], ops[at]
            case 3 | 4 if integers:
                ops[rng.choice(integers)] = _number(rng.choice(EXTREMES))
            case 5:
                ops.insert(at, evil(rng, marker))
            case 6:
                ops.insert(at, rng.choice(OPERATIONS))
            case 7:
                names = [i for i, op in enumerate(ops) if op[:1] == b"c"]
                if names:
                    module, name = rng.choice(NAMES)
                    ops[rng.choice(names)] = f"c{module}\n{name}\n".encode()
            case _:
                ops[at] = of_bytes(rng, ops[at])
    return b"".join(ops)


def _number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def archive(records: dict[str, bytes], compressed: frozenset[str] = frozenset()) -> bytes:
    """A zip archive of these records."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in records.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED if name in compressed else zipfile.ZIP_STORED
            file.writestr(info, data)
    return out.getvalue()


def of_archive(rng: random.Random, records: dict[str, bytes], marker: str) -> bytes:
    """A PyTorch archive with its pickle, its records or its bytes changed."""
    records = dict(records)
    pickle = next(name for name in records if name.endswith("data.pkl"))
    name = rng.choice(list(records))
    compressed: frozenset[str] = frozenset()
    match rng.randrange(12):
        case 0:
            return of_bytes(rng, archive(records))
        case 1:
            data = archive(records)
            at = data.rindex(b"PK\x01\x02")
            return data[:at] + of_bytes(rng, data[at:])
        case 2:
            del records[name]
            if not records:
                return b"PK\x03\x04"
        case 3:
            records[name] = of_bytes(rng, records[name])
        case 4:
            records[rng.choice((name + "x", name.upper(), "/" + name, "../" + name, "constants.pkl"))] = (
                records.pop(name)
            )
        case 5:
            compressed = frozenset([name])
            if rng.random() < 0.5:
                records[name] = bytes(1 << 22)
        case _:
            records[pickle] = of_pickle(rng, records[pickle], marker)
    return archive(records, compressed)


def of_png(rng: random.Random, data: bytes) -> bytes:
    """A PNG with one chunk changed and its checksum made right, so that what is in it is looked at."""
    chunks, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    i = rng.randrange(len(chunks))
    kind, content = chunks[i]
    match rng.randrange(5):
        case 0:
            chunks.insert(i, chunks[rng.randrange(len(chunks))])
        case 1:
            del chunks[i]
        case 2 if kind == b"IDAT":
            content = zlib.compress(
                of_bytes(rng, zlib.decompress(b"".join(c for k, c in chunks if k == b"IDAT")))
            )
            chunks[i] = (kind, content)
        case 3:
            kind = rng.choice((b"tEXt", b"zTXt", b"iCCP", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"eXIf"))
            packed = b"a\0\0" + zlib.compress(b"b" * 1000)
            chunks.insert(i, (kind, rng.choice((b"", b"a", b"a\0", packed, rng.randbytes(26)))))
        case _:
            chunks[i] = (kind, of_bytes(rng, content))
    parts = [data[:8]]
    for kind, content in chunks:
        parts.append(
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )
    return b"".join(parts)
