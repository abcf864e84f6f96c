"""A Label Studio server: the few things that pixmo asks of it, its errors as one line each.

Seen on Label Studio 1.23 with label-studio-sdk 2.1. The token is read from the environment:
LABEL_STUDIO_API_KEY, a personal access token or a legacy one.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.request_options import RequestOptions

from pixmo.errors import LabelError, ServerAwayError
from pixmo.label.values import Json

TOKEN = "LABEL_STUDIO_API_KEY"
PAGE_TASKS = 1000
TIMEOUT_SECONDS = 120.0  # an export of some hundred tasks takes a second; a busy server is slower
LONGEST_TITLE = 50  # characters, of a project
CHANGES = [
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
]
# Of what would be there twice if it were sent twice: an answer may be lost of what was done.
ONCE: RequestOptions = {"max_retries": 0}
# Milliseconds are all that the server's filter reads.
FILTER_TIME = "%Y-%m-%dT%H:%M:%S.%f"


@dataclass(frozen=True)
class Project:
    """A project on the server."""

    id: int
    created_at: datetime  # with the id, what tells it from those of other servers
    label_config: str
    annotations: int  # those skipped included
    annotators: int  # people who are to do each task


@dataclass(frozen=True)
class Listed:
    """A task as a list of tasks has it."""

    id: int
    updated_at: datetime  # moves when an annotation of it is made, changed or deleted
    annotations: int  # those skipped included


@dataclass(frozen=True)
class Studio:
    """A server, reached with a token."""

    url: str
    client: LabelStudio

    def project(self, number: int) -> Project | None:
        """The project with this id; None where there is none."""
        with refusals(self.url):
            try:
                found = self.client.projects.get(number)
            except ApiError as error:
                if error.status_code == httpx.codes.NOT_FOUND:
                    return None
                raise
        annotations = (found.total_annotations_number or 0) + (
            found.skipped_annotations_number or 0
        )
        created_at = found.created_at.astimezone(UTC)
        annotators = found.maximum_annotations or 1
        return Project(found.id, created_at, found.label_config or "", annotations, annotators)

    def create_project(self, title: str, label_config: str) -> Project:
        """A new project with this labelling config, each task of which one person does."""
        with refusals(self.url):
            made = self.client.projects.create(
                title=title[:LONGEST_TITLE], label_config=label_config, request_options=ONCE
            )
        return Project(made.id, made.created_at.astimezone(UTC), label_config, 0, annotators=1)

    def ask_annotators(self, project: Project, annotators: int) -> None:
        """The queue hands each task to so many people, those pushed before, too."""
        with refusals(self.url):
            self.client.projects.update(project.id, maximum_annotations=annotators)

    def serve_folder(self, project: Project, folder: str) -> None:
        """The project's tasks may show files of this folder of the server.

        Raises:
            LabelError: the server serves no files, or none of that folder.
        """
        with refusals(self.url):
            storages = self.client.import_storage.local.list(project=project.id)
            if not any(storage.path == folder for storage in storages):
                try:
                    self.client.import_storage.local.create(
                        project=project.id, path=folder, title="pixmo images", use_blob_urls=True
                    )
                except ApiError as error:
                    if error.status_code != httpx.codes.BAD_REQUEST:
                        raise
                    raise LabelError(
                        f"Label Studio at {self.url} does not serve {folder}: start it with"
                        " LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and with"
                        " LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT as [label_studio] document_root of"
                        " pixmo.toml has it, by default the folder label-studio of the workspace"
                    ) from error

    def shows(self, path: str) -> bool:
        """Whether the server gives out what is at a path of its own, as to its users."""
        with refusals(self.url):
            http = self.client._client_wrapper.httpx_client  # what sends the token, of either kind
            where, _, query = path.removeprefix("/").partition("?")
            answer = http.request(where, method="GET", params=dict(parse_qsl(query)))
            return bool(answer.status_code == httpx.codes.OK)

    def serve_bucket(
        self,
        project: Project,
        bucket: str,
        prefix: str,
        endpoint: str,
        region: str,
        keys: Any,
    ) -> None:
        """The project's tasks may show what is in a bucket: the server makes presigned URLs.

        `keys`: the access key, the secret key and the token, if any, that the server uses.
        """
        with refusals(self.url):
            storages = self.client.import_storage.s3
            wanted: Any = {
                "project": project.id,
                "title": "pixmo images",
                "bucket": bucket,
                "prefix": prefix,
                "s3endpoint": endpoint,
                "region_name": region,
                "aws_access_key_id": keys.access_key,
                "aws_secret_access_key": keys.secret_key,
                "aws_session_token": keys.token or "",
                "presign": True,
                "use_blob_urls": True,
            }
            for one in storages.list(project=project.id):
                if (one.bucket, one.prefix or "") == (bucket, prefix):
                    storages.update(int(one.id or 0), **wanted)  # keys expire
                    return
            storages.create(**wanted)

    def send_webhooks(self, project: Project, url: str, headers: Mapping[str, str]) -> None:
        """A change of the project's annotations is told to `url`, without saying which, once."""
        wanted: Any = {
            "headers": dict(headers),
            "actions": CHANGES,
            "is_active": True,
            "send_payload": False,
            "send_for_all_actions": False,
        }
        with refusals(self.url):
            known = [
                hook
                for hook in self.client.webhooks.list(project=str(project.id))
                if hook.project == project.id and hook.url == url
            ]
            if known:
                self.client.webhooks.update(int(known[0].id or 0), url=url, **wanted)
            else:
                self.client.webhooks.create(project=project.id, url=url, **wanted)

    def task_data(self, project: Project) -> dict[str, Json]:
        """`data` of every task there is, the oldest first, by its `pixmo_id`."""
        found = (task.data or {} for task in self.tasks(project, "id,data"))
        return {str(data.get("pixmo_id")): data for data in found}

    def import_tasks(self, project: Project, tasks: Sequence[Json]) -> None:
        """The tasks are in the project; each has `data` and `predictions`.

        Raises:
            ServerAwayError: the server gave no answer; they may be there all the same.
        """
        request: Any = tasks
        with refusals(self.url):
            self.client.projects.import_tasks(project.id, request=request, request_options=ONCE)

    def changed_since(self, project: Project, since: datetime | None) -> list[Listed]:
        """The tasks changed at or after a time (None: all), the earliest change first."""
        filters = []
        if since is not None:
            value = since.strftime(FILTER_TIME)[:-3] + "Z"
            filters.append(condition("updated_at", "greater_or_equal", "Datetime", value))
        columns = "id,updated_at,total_annotations,cancelled_annotations"
        found = [
            Listed(
                int(task.id),
                task.updated_at.astimezone(UTC),
                (task.total_annotations or 0) + (task.cancelled_annotations or 0),
            )
            for task in self.tasks(project, columns, *filters)
        ]
        return sorted(found, key=lambda task: (task.updated_at, task.id))

    def has_changed_after(self, project: Project, time: datetime) -> bool:
        """Whether a task changed later, by more than a millisecond."""
        value = (time + timedelta(microseconds=999)).strftime(FILTER_TIME)[:-3] + "Z"
        later = condition("updated_at", "greater", "Datetime", value)
        query = {"filters": {"conjunction": "and", "items": [later]}}
        with refusals(self.url):
            page = self.client.tasks.list(
                project=project.id,
                query=json.dumps(query),
                page_size=1,
                include="id",
                fields="task_only",
            )
            return bool(page.items)

    def tasks(self, project: Project, columns: str, *filters: Json) -> Iterator[Any]:
        """Yield the tasks that pass the filters, by id.

        Each request begins behind the last id: of pages that are numbered, one that is changed or
        deleted meanwhile moves the others, and some would be passed over.
        """
        last = 0
        while True:
            items = [*filters, condition("id", "greater", "Number", last)]
            query = {
                "filters": {"conjunction": "and", "items": items},
                "ordering": ["tasks:id"],
            }
            with refusals(self.url):
                page = self.client.tasks.list(
                    project=project.id,
                    query=json.dumps(query),
                    page_size=PAGE_TASKS,
                    include=columns,
                    fields="task_only",
                ).items
            if not page:
                return
            yield from page
            last = int(page[-1].id)

    def export(self, project: Project, tasks: Iterable[int]) -> list[Json]:
        """The tasks with all their annotations, as an export has them."""
        with refusals(self.url):
            # The SDK's own `ids` is not what the server reads: it exports the whole project.
            options: Any = {"additional_query_parameters": {"ids[]": list(tasks)}}
            pieces = self.client.projects.exports.download_sync(
                project.id, export_type="JSON", download_all_tasks=True, request_options=options
            )
            exported = json.loads(b"".join(pieces))
        if not isinstance(exported, list):
            raise LabelError(f"Label Studio at {self.url} sent no list of tasks; ask it again")
        return exported


def condition(column: str, operator: str, kind: str, value: object) -> Json:
    """What the server is to filter tasks by."""
    return {
        "filter": f"filter:tasks:{column}",
        "operator": operator,
        "type": kind,
        "value": value,
    }


@contextlib.contextmanager
def connected(url: str, may_be_away: bool = False) -> Iterator[Studio]:
    """A context with the server at `url`, which knows the token and answered, or may be away.

    Raises:
        LabelError: there is no token, or the server refuses it.
        ServerAwayError: the server is not there.
    """
    token = os.environ.get(TOKEN, "")
    if not token:
        raise LabelError(
            f"{TOKEN} is not set; copy a token from Label Studio, Account & Settings → Personal"
            f" Access Token, and: export {TOKEN}=…"
        )
    url = url.rstrip("/")
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=True) as http:
        with refusals(url):
            studio = Studio(url, LabelStudio(base_url=url, api_key=token, httpx_client=http))
        try:
            with refusals(url):
                studio.client.users.whoami()
        except ServerAwayError:
            if not may_be_away:
                raise
        yield studio


@contextlib.contextmanager
def refusals(url: str) -> Iterator[None]:
    """Whatever a server, or the way to it, makes the SDK raise is one LabelError.

    Raises:
        ServerAwayError: the server, or a proxy before it, cannot answer just now.
        LabelError: anything else was wrong.
    """
    try:
        yield
    except ApiError as error:
        if error.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise LabelError(
                f"Label Studio at {url} refuses the token in {TOKEN}; copy it anew from Account &"
                " Settings, and see that its user may use this project"
            ) from error
        is_away = (error.status_code or 0) >= httpx.codes.INTERNAL_SERVER_ERROR
        raise (ServerAwayError if is_away else LabelError)(
            f"Label Studio at {url} answered {error.status_code}: {said(error.body)}"
        ) from error
    except httpx.TimeoutException as error:
        raise ServerAwayError(
            f"Label Studio at {url} did not answer within {TIMEOUT_SECONDS:g} s; run the same"
            " command to go on"
        ) from error
    except httpx.InvalidURL as error:
        raise LabelError(f"{url} is no URL; mend [label_studio] url in pixmo.toml") from error
    except (httpx.HTTPError, ValueError) as error:
        raise ServerAwayError(
            f"Label Studio at {url} cannot be reached ({error}); is it running, and is that its"
            " [label_studio] url in pixmo.toml? Run the same command to go on"
        ) from error


def said(body: object) -> str:
    """What a server says is wrong, in short."""
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    return str(body)[:300]
