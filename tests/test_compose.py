"""What the compose files promise: one port, no password that anyone could know, and workers without the database."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
LASTING = [name for name in SERVICES if name not in ("secrets", "migrate")]


def test_one_port_is_published_and_on_this_machine_alone():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:${LRSEARCH_PORT:-8000}:8000"]


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_says_whether_it_is_well(name):
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_passwords_come_from_files_that_are_drawn_on_the_first_start(name):
    for variable, value in SERVICES[name].get("environment", {}).items():
        if any(word in variable for word in ("PASSWORD", "TOKEN", "PASSFILE")):
            assert variable.endswith("FILE")
            assert value.startswith("/run/secrets/")
        if "URL" in variable:
            assert "://lrsearch@" in value


def test_workers_hold_no_key_to_the_database():
    worker = SERVICES["worker"]
    assert not [volume for volume in worker["volumes"] if volume.startswith("database")]
    assert "database" not in worker["networks"]


def test_the_tables_are_migrated_before_the_service_starts():
    assert SERVICES["migrate"]["command"] == ["db", "migrate"]
    assert SERVICES["service"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", ["service", "worker", "migrate"])
def test_our_own_containers_may_do_nothing_but_their_work(name):
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["read_only"]
    assert "user" not in SERVICES[name]
    assert "USER 1000" in (ROOT / "Dockerfile").read_text()


def test_the_gpu_file_changes_the_workers_alone():
    override = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())
    assert list(override) == ["services"]
    assert list(override["services"]) == ["worker"]
    assert override["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
