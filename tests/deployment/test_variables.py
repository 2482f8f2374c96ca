"""Which variables mean something: every setting has one, and every name that stands anywhere is known."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from layout.repository import committed, text_of
from plantops.deployment.settings import SiteSettings
from plantops.deployment.variables import COMPOSE, OTHERS, VARIABLES
from plantops.runtime.kinds import alternatives, is_secret

_NAME = re.compile(r"\bPLANTOPS_[A-Z0-9]+(?:_{1,2}[A-Z0-9]+)*\b")
# What examples of mistakes are made of.
_OF_TESTS = ("tests/runtime/test_variables.py", "tests/deployment/test_variables.py")
_LIKE_SECRETS = re.compile(r"(key|secret|password|passphrase|token)$")
# A file's name, and no secret.
_NO_SECRETS = {"gateway.tls.key"}


def fields(place: str, kind: inspect.Type) -> Iterator[tuple[str, inspect.Type]]:
    for each in alternatives(kind):
        if isinstance(each, inspect.StructType):
            for one in each.fields:
                yield f"{place}{one.encode_name}", one.type
                yield from fields(f"{place}{one.encode_name}.", one.type)
        elif isinstance(each, inspect.DictType):
            yield from fields(f"{place}*.", each.value_type)


def test_every_key_has_a_variable_of_its_own() -> None:
    places = [tuple(place.split(".")) for place, _kind in fields("", inspect.type_info(SiteSettings))]
    names = {place: VARIABLES.of(place) for place in places if "*" not in place}
    assert [place for place, name in names.items() if not name] == [("site",)]
    assert len(set(names.values())) == len(names)
    assert set(names.values()).isdisjoint({*OTHERS, *COMPOSE, *VARIABLES.short})


def test_whatever_may_hold_a_secret_is_marked_as_one() -> None:
    found = dict(fields("", inspect.type_info(SiteSettings)))
    secret = {place for place, kind in found.items() if is_secret(kind)}
    assert {"agent.model.key", "gateway.delegates.*.secret"} <= secret
    assert {place for place in found if _LIKE_SECRETS.search(place)} - secret == _NO_SECRETS


def test_every_variable_that_stands_anywhere_is_known() -> None:
    known = {*VARIABLES.places, *VARIABLES.others}
    unknown = {
        (name, str(path))
        for path in committed()
        if str(path) not in _OF_TESTS
        for name in _NAME.findall(text_of(path))
        if name not in known
    }
    assert unknown == set()


def test_structs_refuse_what_they_do_not_know() -> None:
    lax = [
        str(each.cls)
        for _place, kind in fields("", inspect.type_info(SiteSettings))
        for each in alternatives(kind)
        if isinstance(each, inspect.StructType) and not each.forbid_unknown_fields
    ]
    assert lax == []
    assert SiteSettings.__struct_config__.forbid_unknown_fields
    assert issubclass(SiteSettings, msgspec.Struct)
