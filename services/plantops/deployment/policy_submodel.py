"""The signed policy as a submodel of the Asset Administration Shell: an envelope on a public notice board.

Trust never comes from the twin (whoever may write a shell could replace policy, key and signature together).
So only the DSSE envelope travels; every key, signature or setting beside it is ignored, and what is read is
verified against the trust root on this host like any other envelope. A shell without the policy is a
refusal, never a default. AAS metamodel and serialisations: IDTA-01001 and IDTA-01005 part 5 (AASX).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from basyx.aas import model
from basyx.aas.adapter.aasx import AASXReader, AASXWriter, DictSupplementaryFileContainer
from basyx.aas.adapter.json import read_aas_json_file, write_aas_json_file
from basyx.aas.adapter.xml import read_aas_xml_file, write_aas_xml_file

from plantops.ledger import dsse
from plantops.runtime.errors import PolicyRejected, SettingsError

Form: TypeAlias = Literal["json", "xml", "aasx"]
SEMANTIC_ID: Final = "urn:plantops:submodel:policy:1"
ID_SHORT: Final = "PlantOpsPolicy"
ENVELOPE: Final = "PolicyEnvelope"
# A shell with drawings in it is large; what unpacks to more is no shell.
MAX_BYTES: Final = 64 * 1024 * 1024
# What the SDK raises on bytes that are no shell, or one that breaks the metamodel.
_UNREADABLE: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    NotImplementedError,
    SyntaxError,  # of XML, by lxml
    zipfile.BadZipFile,
    model.AASConstraintViolation,
)


@dataclass(frozen=True, slots=True)
class Found:
    """The envelope, believed by nobody yet, and the names of what stood beside it and was not looked at."""

    envelope: bytes
    ignored: tuple[str, ...]


def form_of(path: Path) -> Form:
    """By the name's end. Raises: SettingsError."""
    for form in get_args(Form):
        if path.suffix.lower() == f".{form}":
            known: Form = form
            return known
    raise SettingsError(f"{path}: end the name with .json, .xml or .aasx", setting="file")


def write_submodel(path: Path, envelope: bytes, site: str) -> None:
    """Write a shell that holds the policy submodel alone. Raises: SettingsError, MalformedEnvelope."""
    dsse.decode(envelope)
    form = form_of(path)
    submodel = model.Submodel(
        f"urn:plantops:policy:{site}",
        id_short=ID_SHORT,
        semantic_id=model.ExternalReference((model.Key(model.KeyTypes.GLOBAL_REFERENCE, SEMANTIC_ID),)),
        submodel_element=[
            model.Property(ENVELOPE, value_type=model.datatypes.String, value=envelope.decode())
        ],
    )
    shell = model.AssetAdministrationShell(
        asset_information=model.AssetInformation(global_asset_id=f"urn:plantops:site:{site}"),
        id_=f"urn:plantops:shell:{site}",
        id_short="PlantOps",
        submodel={model.ModelReference.from_referable(submodel)},
    )
    store: Any = model.DictIdentifiableStore([submodel, shell])
    try:
        if form == "json":
            write_aas_json_file(str(path), store)
        elif form == "xml":
            write_aas_xml_file(str(path), store)
        else:
            with AASXWriter(str(path)) as writer:
                writer.write_aas(shell.id, store, _no_files())
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from error


def read_submodel(path: Path) -> Found:
    """The policy in a shell's file. Raises: SettingsError for a file that is none; PolicyRejected when the
    shell has no policy, or more than one."""
    submodels = [each for each in _objects(path) if isinstance(each, model.Submodel) and _is_policy(each)]
    if not submodels:
        raise PolicyRejected(
            f"{path} holds no submodel {SEMANTIC_ID!r}: a missing policy allows nothing, and the one in"
            " force stays"
        )
    if len(submodels) > 1:
        raise PolicyRejected(
            f"{path} holds {len(submodels)} policy submodels: one is the policy, remove the rest"
        )
    elements = list(submodels[0].submodel_element)
    found = [each for each in elements if each.id_short == ENVELOPE]
    if len(found) != 1 or not isinstance(found[0], model.Property) or not isinstance(found[0].value, str):
        raise PolicyRejected(
            f"{path}: its policy submodel has no text property {ENVELOPE}: write it with"
            " `plantops policy submodel write`"
        )
    ignored = tuple(sorted(str(each.id_short) for each in elements if each is not found[0]))
    return Found(found[0].value.encode(), ignored)


def _is_policy(submodel: model.Submodel) -> bool:
    reference = submodel.semantic_id
    return reference is not None and any(key.value == SEMANTIC_ID for key in reference.key)


def _objects(path: Path) -> Iterable[Any]:
    form = form_of(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{path} is larger than {MAX_BYTES} bytes: give the shell alone")
        if form == "json":
            with path.open("rb") as file:
                return list(read_aas_json_file(file, failsafe=False))
        if form == "xml":
            with path.open("rb") as file:
                return list(read_aas_xml_file(file, failsafe=False, resolve_entities=False, no_network=True))
        return _packed(path)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise SettingsError(f"{path} is no Asset Administration Shell as {form}: {error}") from error


def _packed(path: Path) -> Iterable[Any]:
    with zipfile.ZipFile(path) as package:
        if sum(each.file_size for each in package.infolist()) > MAX_BYTES:
            raise SettingsError(f"{path} unpacks to more than {MAX_BYTES} bytes: give the shell alone")
    store: Any = model.DictIdentifiableStore()
    with AASXReader(str(path), failsafe=False) as reader:
        reader.read_into(store, _no_files())
    return list(store)


def _no_files() -> DictSupplementaryFileContainer:
    return DictSupplementaryFileContainer()  # type: ignore[no-untyped-call]  # the SDK leaves this one untyped
