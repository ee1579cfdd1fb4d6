"""What a model hub is, and how it lists the files of a model."""

from __future__ import annotations

from typing import Callable, Iterable, NamedTuple, Sequence

from provision.host.failure import Failure
from provision.published import http, sites


class RemoteFile(NamedTuple):
    """One file of a model as its hub lists it."""

    path: str
    """Relative, with "/" between its parts."""
    size: int
    sha256: str | None = None
    git_sha1: str | None = None
    """The id of the content as a git blob; Hugging Face gives this for small files."""


class Listing(NamedTuple):
    """The files of one revision of a model."""

    endpoint: str
    """The hub that has it."""
    commit: str | None
    files: Sequence[RemoteFile]
    revision: str = ""
    """Under which it was asked for."""


class Query(NamedTuple):
    """What a hub is asked for: the files of `repo` ("owner/name") at `revision`."""

    hub: Hub
    address: str
    repo: str
    revision: str
    token: str | None
    timeout: float
    """Seconds without an answer."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that carry the token."""
        return self.hub.site.headers(self.token)

    def no_revision(self, hint: str) -> Failure:
        """Return the failure that says that the model has no such revision."""
        message = f'{self.repo} has no revision "{self.revision}" on {self.hub.title}'
        return Failure("not-on-hub", message, hint=hint)

    def no_model(self) -> Failure:
        """Return the failure that says that the hub has no such model."""
        return Unknown(
            "not-on-hub",
            f'{self.hub.title} at {self.address} has no model "{self.repo}"',
            hint="check the name" + ("" if self.token else "; a private model needs a token"),
        )


class Unknown(Failure):
    """The hub has no such model."""


class Hub(NamedTuple):
    """One kind of hub."""

    site: sites.Site
    library: str
    """The package that downloads from it."""
    files: Callable[[Query], Listing]
    """Asks it; raises `http.Refused` and OSError."""
    explain: Callable[[Query, http.Refused], Failure | None]
    """What an error of this hub means; None when it means what its HTTP status says."""
    matches: Callable[[str, str], bool]
    """(path, pattern): whether the library takes the pattern to mean this file."""

    @property
    def title(self) -> str:
        """What people call it."""
        return self.site.title

    @property
    def variable(self) -> str:
        """The environment variable that names a mirror."""
        return self.site.variable

    def listing(
        self, repo: str, revision: str, endpoint: str | None, token: str | None, timeout: float
    ) -> Listing:
        """Return the files of a model; without an `endpoint`, from the host's own setting or the public hub.

        Raises:
            Failure: no such model or revision, no access, or no answer.
        """
        address = self.site.address(endpoint)
        query = Query(self, address, repo, revision, token, timeout)
        try:
            return self._ask(query)
        except Unknown:
            if self.site.second and address == self.site.public:
                try:
                    return self._ask(query._replace(address=self.site.second))
                except Failure:
                    pass
            raise

    def _ask(self, query: Query) -> Listing:
        try:
            return self.files(query)
        except http.Refused as error:
            known = self.explain(query, error)
            raise known or self.refused(query.address, query.repo, error.status, query.token) from None
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise Failure(
                "hub-unreachable",
                f"{self.title} at {query.address} lists {query.repo} in a form that is not known: {error!r}"[
                    :500
                ],
                hint="is it a hub, or a proxy in front of it?",
            ) from None
        except OSError as error:
            raise Failure(
                "hub-unreachable",
                f"{self.title} at {query.address} cannot be reached: {error}",
                hint="check the host's network and proxy, or set endpoint to a mirror it can reach "
                f"({self.variable})",
            ) from None

    def selects(self, path: str, allow: Sequence[str], ignore: Sequence[str]) -> bool:
        """Tell whether the library downloads a file."""
        allowed = not allow or any(self.matches(path, pattern) for pattern in allow)
        return allowed and not any(self.matches(path, pattern) for pattern in ignore)

    def refused(
        self, address: str, repo: str, status: int, token: str | None, log: Iterable[str] = ()
    ) -> Failure:
        """Return the failure that says why a hub does not give a model."""
        if status in (401, 403):
            code, said = "hub-refused", f"refused access to {repo} (HTTP {status})"
            hint = (
                "the token is not valid for this model" if token else "a private or gated model needs a token"
            )
        else:
            code, said, hint = "hub-unreachable", f"answered HTTP {status} for {repo}", "try again later"
        return Failure(code, f"{self.title} at {address} {said}", hint=hint, log=log)
