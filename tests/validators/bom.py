"""Official checks of bills of materials, and what no schema checks.

    bom.py KIND FILE...     KIND: cyclonedx-1.6, cyclonedx-1.7, spdx3
"""

import json
import sys


def cyclonedx(text, version):
    import functools

    import rfc3987_syntax

    # The same few addresses stand in thousands of places, and the grammar
    # takes a tenth of a second for each.
    rfc3987_syntax.is_valid_syntax = functools.lru_cache(None)(rfc3987_syntax.is_valid_syntax)

    from cyclonedx.model.bom import Bom
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL

    error = JsonStrictValidator(getattr(SchemaVersion, version)).validate_str(text)
    assert error is None, f"{version}: {error}"
    bom = json.loads(text)
    Bom.from_json(json.loads(text))

    refs, purls = [], []

    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("bom-ref"), str):
                refs.append(value["bom-ref"])
            if "purl" in value:
                purls.append(value["purl"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(bom)
    assert len(refs) == len(set(refs)), "a bom-ref twice"
    for purl in purls:
        PackageURL.from_string(purl)
    known = set(refs)
    pointed = [d["ref"] for d in bom["dependencies"]]
    assert len(pointed) == len(set(pointed)), "a dependency entry twice"
    pointed += [r for d in bom["dependencies"] for r in d.get("dependsOn", [])]
    pointed += [r for c in bom.get("compositions", []) for r in c.get("assemblies", [])]
    pointed += [a["ref"] for v in bom.get("vulnerabilities", []) for a in v["affects"]]
    pointed += [c["attributedTo"] for c in bom.get("citations", [])]
    assert set(pointed) <= known, f"dangling: {set(pointed) - known}"
    for citation in bom.get("citations", []):
        for pointer in citation["pointers"]:
            at = bom
            for part in pointer.split("/")[1:]:
                at = at[int(part)] if isinstance(at, list) else at[part]


def spdx3(text):
    from spdx_python_model.bindings import v3_0_1 as model

    objects = model.SHACLObjectSet()
    with_ids = [e["spdxId"] for e in json.loads(text)["@graph"] if "spdxId" in e]
    assert len(with_ids) == len(set(with_ids)), "an spdxId twice"
    model.JSONLDDeserializer().deserialize_data(json.loads(text), objects)
    missing = objects.link()
    assert not missing, f"dangling: {missing}"
    # Minimum counts are checked when it is written again.
    model.JSONLDSerializer().serialize_data(objects)

    declared, concluded = {}, {}
    for relation in objects.foreach_type(model.Relationship):
        kind = str(relation.relationshipType).rsplit("/", 1)[-1]
        for name, seen in (("hasDeclaredLicense", declared), ("hasConcludedLicense", concluded)):
            if kind == name:
                seen[relation.from_._id] = seen.get(relation.from_._id, 0) + 1
    for package in objects.foreach_type(model.ai_AIPackage):
        assert declared.get(package._id) == 1 and concluded.get(package._id) == 1, "AI profile: licences"
        for field in ("suppliedBy", "software_downloadLocation", "software_packageVersion", "software_primaryPurpose"):
            assert getattr(package, field) is not None, f"AI profile: {field}"


def main():
    kind, files = sys.argv[1], sys.argv[2:]
    for file in files:
        with open(file, encoding="utf-8") as f:
            text = f.read()
        if kind == "spdx3":
            spdx3(text)
        else:
            cyclonedx(text, {"cyclonedx-1.6": "V1_6", "cyclonedx-1.7": "V1_7"}[kind])


main()
