import struct

from hypothesis import given
from hypothesis import strategies as st

from plantops.adapters.modbus.address import Address, parse
from plantops.adapters.modbus.block import BlockDecoder, Wanted
from plantops.adapters.modbus.codec import converter, unpack
from plantops.events.base import TagName
from plantops.events.frames import Sample
from plantops.events.quality import Quality
from plantops.events.tags import TagDefinition

START, LENGTH = 100, 40
FORMS = [
    "uint16",
    "int16:BADC",
    "uint32:CDAB",
    "int32:DCBA",
    "float32:BADC",
    "uint64:DCBA",
    "int64:CDAB",
    "float64",
    "bit.3",
    "bit.9:BADC",
    "string.3",
    "string.2:BADC",
]


def wanted(place: int, address: Address, text: str) -> Wanted:
    tag = TagDefinition(name=TagName("t"), kind=address.kind, address=text)
    return Wanted(place, 7 * place, address, converter(address, tag))


@given(
    st.lists(st.tuples(st.integers(0, LENGTH - 4), st.sampled_from(FORMS)), min_size=1, max_size=30),
    st.binary(min_size=2 * LENGTH, max_size=2 * LENGTH),
)
def test_a_block_gives_the_same_as_reading_each_address_alone(
    places: list[tuple[int, str]], data: bytes
) -> None:
    texts = [f"holding:{START + offset}:{form}" for offset, form in places]
    tags = [wanted(place, parse(text), text) for place, text in enumerate(texts)]
    answer: list[Sample | None] = [None] * len(tags)
    BlockDecoder(START, LENGTH, tags, is_bits=False).decode(data, answer)
    for sample, each in zip(answer, tags, strict=True):
        offset = 2 * (each.address.start - START)
        raw = unpack(each.address, data[offset : offset + 2 * each.address.cells])
        alone = (raw, int(Quality.GOOD)) if each.convert is None else each.convert(raw)
        assert sample is not None
        assert (sample.index, repr(sample.value), sample.quality) == (each.tag, repr(alone[0]), alone[1])


@given(st.lists(st.integers(0, 19), min_size=1, max_size=30), st.integers(0, 2**20 - 1))
def test_bits_count_from_the_least_significant_of_the_first_byte(places: list[int], bits: int) -> None:
    tags = [wanted(place, parse(f"coil:{5 + bit}"), f"coil:{5 + bit}") for place, bit in enumerate(places)]
    answer: list[Sample | None] = [None] * len(tags)
    decoder = BlockDecoder(5, 20, tags, is_bits=True)
    assert decoder.size == 3
    decoder.decode(bits.to_bytes(3, "little"), answer)
    assert [sample.value if sample else None for sample in answer] == [
        bool(bits >> bit & 1) for bit in places
    ]


def test_values_in_the_same_cells_are_all_read() -> None:
    texts = ["holding:0:uint32", "holding:0", "holding:1", "holding:0:bit.0", "holding:0"]
    tags = [wanted(place, parse(text), text) for place, text in enumerate(texts)]
    answer: list[Sample | None] = [None] * len(tags)
    BlockDecoder(0, 2, tags, is_bits=False).decode(struct.pack(">HH", 3, 4), answer)
    assert [sample.value if sample else None for sample in answer] == [0x30004, 3, 4, True, 3]
