"""The part of the loopback server that keeps artifacts, and gives them back."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server_reports import ENTITY

if TYPE_CHECKING:
    from wandb_server import WandbServer

_THEN = "2026-01-01T00:00:00"


@dataclass
class Artifact:
    """A version of an artifact, such as W&B makes for every table, too.

    Attributes:
        name: its collection's.
        version: its place in the collection.
        files: contents by path, the manifest besides.
        committed: whether all of it has come.
    """

    name: str
    type: str
    project: str
    version: int
    digest: str
    files: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False


def answers(server: "WandbServer") -> dict[str, Callable[..., Any]]:
    """Return what answers each operation."""
    kept = server.artifacts

    def versions(name: str) -> list[str]:
        return [key for key, one in kept.items() if one.name == name]

    def kind(name: str, **_: Any) -> dict[str, Any]:
        kinds = [kept[key].type for key in versions(name.partition(":")[0])]
        return {"project": {"artifact": {"artifactType": {"name": kinds[0]}} if kinds else None}}

    def create(input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
        name, key = input["artifactCollectionName"], secrets.token_hex(4)
        place = input["projectName"], len(versions(name)), input["digest"]
        kept[key] = Artifact(name, input["artifactTypeName"], *place)
        shown = {"id": key, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": shown}}

    def create_manifest(artifactID: str, includeUpload: bool, **_: Any) -> dict[str, Any]:  # noqa: N803
        target = {"uploadUrl": f"{server.url}/artifact/{artifactID}/manifest", "uploadHeaders": []}
        file = {"id": artifactID, **(target if includeUpload else {})}
        return {"createArtifactManifest": {"artifactManifest": {"id": artifactID, "file": file}}}

    def create_files(input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
        nodes = [
            {
                "storagePath": one["name"],
                "uploadUrl": f"{server.url}/artifact/{one['artifactID']}/{one['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            for one in input["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def commit(artifactID: str) -> dict[str, Any]:  # noqa: N803
        kept[artifactID].committed = True
        return {"commitArtifact": {"artifact": {"id": artifactID, "digest": kept[artifactID].digest}}}

    def membership(name: str, project: str, **_: Any) -> dict[str, Any]:
        collection, _, alias = name.partition(":")
        found = [key for key in versions(collection) if kept[key].committed and kept[key].project == project]
        wanted = [key for key in found if f"v{kept[key].version}" == alias]
        if alias in ("latest", "best"):
            wanted = found[-1:]
        shown = _membership(wanted[0], kept[wanted[0]]) if wanted else None
        return {"project": {"artifactCollectionMembership": shown}}

    def manifest_url(id: str, **_: Any) -> dict[str, Any]:  # noqa: A002
        file = {"directUrl": f"{server.url}/artifact/{id}/manifest"}
        return {"artifact": {"currentManifest": {"file": file}}}

    def file_urls(collection: str, alias: str, **_: Any) -> dict[str, Any]:
        (key,) = [key for key in versions(collection) if f"v{kept[key].version}" == alias]
        edges = [
            {
                "node": {
                    "__typename": "File",
                    "name": name,
                    "directUrl": f"{server.url}/artifact/{key}/{name}",
                }
            }
            for name in kept[key].files
            if name != "manifest"
        ]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        found = {"files": {"pageInfo": page, "edges": edges}}
        shown = {"__typename": "ArtifactSequence", "artifactMembership": found}
        return {"project": {"artifactCollection": shown}}

    return {
        "ArtifactType": kind,
        "CreateArtifact": create,
        "CreateArtifactManifest": create_manifest,
        "CreateArtifactFiles": create_files,
        "CommitArtifact": commit,
        "ArtifactMembershipByName": membership,
        "FetchArtifactManifest": manifest_url,
        "GetArtifactMembershipFileUrls": file_urls,
    }


def _membership(key: str, one: Artifact) -> dict[str, Any]:
    project = {"id": one.project, "internalId": "1", "name": one.project, "entity": {"name": ENTITY}}
    aliases = [{"__typename": "ArtifactAlias", "id": alias, "alias": alias} for alias in ("latest", "best")]
    manifest = json.loads(one.files["manifest"])
    return {
        "__typename": "ArtifactCollectionMembership",
        "id": key,
        "versionIndex": one.version,
        "createdAt": _THEN,
        "aliases": aliases,
        "artifactCollection": {"__typename": "ArtifactSequence", "name": one.name, "project": project},
        "artifact": {
            "__typename": "Artifact",
            "id": key,
            "artifactSequence": {"__typename": "ArtifactSequence", "name": one.name, "project": project},
            "versionIndex": one.version,
            "artifactType": {"name": one.type},
            "description": None,
            "metadata": "{}",
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": sum(entry["size"] for entry in manifest["contents"].values()),
            "digest": one.digest,
            "commitHash": "",
            "fileCount": len(manifest["contents"]),
            "createdAt": _THEN,
            "updatedAt": _THEN,
            "aliases": [],
        },
    }
