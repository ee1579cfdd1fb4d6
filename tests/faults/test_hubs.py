"""A model hub that is out of order, and disks that a model does not fit on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.trouble import Trouble
from tests.lab import Hub
from tests.lab.hub import Fault
from tests.lab.models import CHAT, hub_root

pytestmark = pytest.mark.lab

WEIGHTS = "model.safetensors"

FAULTS = {
    "answers 500": (Fault("/api/", status=500), "hub-unreachable", "answered HTTP 500"),
    "refuses the token": (None, "hub-refused", "refused access to .*HTTP 401"),
    "is silent": (Fault("/api/", hang=True), "hub-unreachable", "cannot be reached: no answer in time"),
    "cuts off": (Fault(WEIGHTS, cut=1000), "hub-unreachable", "the connection .* broke"),
    "corrupts": (Fault(WEIGHTS, corrupt=True), "damaged-download", "arrived damaged"),
}


@pytest.fixture(scope="module")
def hub(site: Trouble) -> Iterator[Hub]:
    """The tiny chat model, and a host that can download it."""
    with Hub(hub_root(), address=site.lab.network.gateway) as hub:
        site.play(library())
        site.works()
        yield hub


def library() -> str:
    return "packages: [python3-venv]\nenvironments: {hub: {packages: [huggingface_hub]}}\n"


def model(hub: Hub, name: str) -> str:
    # Each in a directory of its own: what a model beside it has is not downloaded again.

    token = "token: {env: HUB_TOKEN}, " if hub.token else ""
    at = f"huggingface: {CHAT}, {token}endpoint: '{hub.url}', directory: /srv/{name}/model"
    return library() + f"models: {{{name}: {{{at}, environment: hub}}}}\n"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_hub(trouble: Trouble, hub: Hub, fault: str) -> None:
    """A model hub answers 500, refuses the token, hangs, cuts off or corrupts"""
    broken, code, says = FAULTS[fault]
    trouble.provision.env["HUB_TOKEN"] = "wrong"
    if broken:
        hub.break_(broken)
    else:
        hub.token = "right"
    page = model(hub, fault.replace(" ", "-"))
    trouble.play(page)
    try:
        trouble.fails(code, says)
        trouble.provision.env["HUB_TOKEN"] = "right"
        hub.mend()
        trouble.works()
    finally:
        hub.token = None
        hub.mend()


def test_a_hub_as_slow_as_a_modem(trouble: Trouble, hub: Hub) -> None:
    """A model hub as slow as a modem: no fault"""
    hub.break_(Fault(WEIGHTS, slow=100_000))
    trouble.play(model(hub, "slow"))
    try:
        trouble.works()
    finally:
        hub.mend()


def test_the_disk_is_too_small_for_a_model(trouble: Trouble, hub: Hub) -> None:
    """The disk of a model is full"""
    trouble.play(model(hub, "big"))
    with trouble.small("/srv/big", "64k"):
        trouble.fails("disk-full", "")
        trouble.sh("mount -o remount,size=64m /srv/big")
        trouble.works()


def test_the_disk_of_a_model_is_read_only(trouble: Trouble, hub: Hub) -> None:
    """The disk of a model is read-only"""
    trouble.play(model(hub, "fixed"))
    with trouble.read_only("/srv/fixed"):
        trouble.fails("file-refused", "its file system is mounted read-only")
    trouble.works()
