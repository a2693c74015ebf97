"""The dashboard and the alert rules: read as PromQL, true to what the code emits, and alerts that fire when they must.

There is no Prometheus and no Grafana here. A parser of PromQL reads each expression; `promql.py` computes those of the
alerts over made-up series.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, pairwise
from typing import Any, cast

import promql_parser as ast
import pytest
import yaml
from manifests import ROOT
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from promql import Labels, Shape, fires, matches, parts, scrape

from penstock.api.metrics import RequestMetrics, Snapshot, exposition
from penstock.errors import ParserCrashed
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, QUEUES, FileStatus, QueueDepth
from penstock.queues.port import Bury, Done, Queues, Retry
from penstock.stages import stage
from penstock.workers import metrics as of_workers

FOLDER = ROOT / "deploy" / "monitoring"
HOUR = 3600.0
LINK = re.compile(r'docs/operations/(?:errors|watching)\.md, "')
SECTIONS = re.compile(r'(docs/operations/(?:errors|watching)\.md), ("[^"]+"(?: and "[^"]+")*)')


@cache
def dashboard() -> dict[str, Any]:
    return json.loads((FOLDER / "dashboard.json").read_text())


@cache
def rules() -> dict[str, dict[str, Any]]:
    """By name."""
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panels() -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target


def expressions() -> dict[str, str]:
    shown = {f"panel: {title} {one['refId']}": one["expr"] for title, one in targets()}
    return shown | {f"alert: {name}": rule["expr"] for name, rule in rules().items()}


def parsed(expression: str) -> Any:
    """Grafana fills in its variable before Prometheus sees it."""
    return ast.parse(expression.replace("$__rate_interval", "5m"))


@cache
def emitted() -> dict[str, list[dict[str, str]]]:
    """The labels of each series that `/metrics` of the roles shows, by name, as Prometheus reads them."""
    requests = RequestMetrics("0")
    for status in (200, 503):
        requests.observe(method="GET", route="/files", status=status, seconds=0.1)
    nothing = QueueDepth(waiting=0, in_flight=0, dead_letters=0, oldest_seconds=None)
    snapshot = Snapshot(dict.fromkeys(FileStatus, 0), dict.fromkeys(QUEUES, nothing))
    for queue in QUEUES:
        of_workers.begin(queue, cast("Queues", None))
        for verdict in (Done(), Retry(0), Bury("gave_up", "x")):
            of_workers.observe(queue, verdict, seconds=0.1)
        of_workers.observe_error(queue, ParserCrashed())
    of_workers.LEASES_LOST.set_function(lambda: 0)
    with stage("embed.engine"):
        pass
    found: dict[str, list[dict[str, str]]] = {}
    for text in (exposition(requests, snapshot), generate_latest(REGISTRY)):
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample.labels)
    return found


def labels_of(name: str) -> set[str]:
    return set(chain.from_iterable(emitted()[name]))


@pytest.mark.parametrize("expression", expressions().values(), ids=expressions().keys())
def test_an_expression_reads_and_names_only_what_is_emitted(expression: str) -> None:
    nodes = parts(parsed(expression))
    selectors = [node for node in nodes if isinstance(node, ast.VectorSelector)]
    selectors += [node.vector_selector for node in nodes if isinstance(node, ast.MatrixSelector)]
    assert selectors
    for selector in selectors:
        assert selector.name in emitted()
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels_of(selector.name)
            assert any(matches(matcher, labels) for labels in emitted()[selector.name]), f"{matcher} finds nothing"
    known = set[str]().union(*(labels_of(selector.name) for selector in selectors if selector.name))
    assert grouping(nodes) <= known


def grouping(nodes: list[Any]) -> set[str]:
    """The labels that an expression aggregates or joins by."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.AggregateExpr) and node.modifier is not None:
            found.update(node.modifier.labels)
        elif isinstance(node, ast.BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            found.update(node.modifier.matching.labels)
    return found


def test_what_is_emitted_is_on_the_dashboard() -> None:
    """A metric that nobody looks at is forgotten there, or not needed."""
    shown = " ".join(one["expr"] for _, one in targets())
    families = {re.sub("_(total|bucket|sum|count|created|info)$", "", name) for name in emitted()}
    ours = {name for name in families if name.startswith("penstock_")}
    assert {name for name in ours if name not in shown} == {"penstock_build"}


def test_the_dashboard_can_be_imported() -> None:
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert {"uid", "title", "schemaVersion"} <= set(board)
    assert "id" not in board, "it is another one in each Grafana"
    (variable,) = board["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    for panel in panels():
        assert panel["description"]
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    tops = [panel["gridPos"]["y"] for panel in dashboard()["panels"]]
    assert all(above <= below for above, below in pairwise(tops)), "in the order in which they are seen"


def test_a_legend_names_labels_that_its_query_keeps() -> None:
    for title, target in targets():
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert named <= grouping(parts(parsed(target["expr"]))), title


def test_the_rules_are_of_prometheus_form() -> None:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    assert set(group) == {"name", "rules"}
    assert len(group["rules"]) == len(rules()), "each name once"
    for name, rule in rules().items():
        assert re.fullmatch("Penstock[A-Za-z]+", name)
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert held(rule) >= 0, "it reads"


def test_each_alert_says_what_to_do_and_where_that_stands() -> None:
    for name, rule in rules().items():
        summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
        filled_in = set(re.findall(r"\$labels\.(\w+)", summary + description))
        assert filled_in <= grouping(parts(parsed(rule["expr"]))), name
        links = SECTIONS.findall(description)
        assert len(links) == len(LINK.findall(description)) >= 1, name
        for page, sections in links:
            headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
            for section in re.findall('"([^"]+)"', sections):
                assert section in headings, f"{name}: {page} has no {section}"


def test_each_alert_has_its_entry_on_the_page() -> None:
    told = set(re.findall(r"^\| `(Penstock\w+)` \|", (ROOT / "docs/operations/watching.md").read_text(), re.MULTILINE))
    assert told == set(rules())


def always(value: float) -> Shape:
    return lambda _: value


def growing(per_hour: float, start: float = 0) -> Shape:
    return lambda now: start + per_hour * now / HOUR


def stops(shape: Shape, at: float) -> Shape:
    """Counts no further from a moment on."""
    return lambda now: shape(min(now, at))


def gone(shape: Shape, at: float, until: float = float("inf")) -> Shape:
    return lambda now: None if at <= now < until else shape(now)


def comes(shape: Shape, at: float) -> Shape:
    return lambda now: shape(now - at) if now >= at else 0.0


@dataclass
class Seen:
    """What Prometheus has seen of an installation: well and busy, but for what a test says."""

    series: dict[tuple[str, Labels], Shape] = field(default_factory=dict[tuple[str, Labels], Shape])

    def __post_init__(self) -> None:
        for instance in ("api-1", "api-2"):
            for service in ("database", "queue"):
                self.set("penstock_service_up", always(1), service=service, instance=instance)
            for queue in QUEUES:
                self.set("penstock_queue_waiting", always(400), queue=queue, instance=instance)
                self.set("penstock_queue_in_flight", always(6), queue=queue, instance=instance)
                self.set("penstock_queue_oldest_seconds", always(600), queue=queue, instance=instance)
                self.set("penstock_queue_dead_letters", always(200), queue=queue, instance=instance)
        for queue in QUEUES:
            for instance in (f"{queue}-1", f"{queue}-2"):
                self.attempts(queue, "done", growing(1800), instance=instance)
                self.attempts(queue, "retry", growing(20), instance=instance)
                self.attempts(queue, "bury", growing(3), instance=instance)

    def set(self, name: str, shape: Shape, **labels: str) -> None:
        self.series[name, frozenset(labels.items())] = shape

    def of_api(self, name: str, shape: Shape, **labels: str) -> None:
        for instance in ("api-1", "api-2"):
            self.set(name, shape, **labels, instance=instance)

    def of_workers(self, queue: str, verdict: str, shape: Shape) -> None:
        for instance in (f"{queue}-1", f"{queue}-2"):
            self.attempts(queue, verdict, shape, instance=instance)

    def attempts(self, queue: str, verdict: str, shape: Shape, *, instance: str) -> None:
        self.set("penstock_attempts_total", shape, queue=queue, verdict=verdict, instance=instance)

    def without(self, name: str, at: float = 0, until: float = float("inf"), **labels: str) -> None:
        """Not scraped for a while."""
        for (each, having), shape in list(self.series.items()):
            if each == name and frozenset(labels.items()) <= having:
                self.series[each, having] = gone(shape, at, until)

    def without_workers(self, queue: str, at: float = 0, until: float = float("inf")) -> None:
        self.without("penstock_attempts_total", at, until, queue=queue)

    def alerts(self, hours: float = 4) -> dict[str, set[Labels]]:
        """The alerts that fire at some moment, with their labels."""
        until = hours * HOUR
        scraped = scrape(self.series, until=until)
        fired = {name: fires(rule["expr"], scraped, held=held(rule), until=until) for name, rule in rules().items()}
        return {name: labels for name, labels in fired.items() if labels}


def held(rule: dict[str, Any]) -> float:
    """For how many seconds its expression has to hold."""
    return ast.parse_duration(rule["for"]).total_seconds() if "for" in rule else 0


def of(**labels: str) -> set[Labels]:
    return {frozenset(labels.items())}


@pytest.fixture
def seen() -> Seen:
    return Seen()


def idle(seen: Seen) -> None:
    """Nothing waits and nothing is done; Workers are there."""
    for queue in QUEUES:
        for name in ("waiting", "in_flight", "oldest_seconds"):
            seen.of_api(f"penstock_queue_{name}", always(0), queue=queue)
        for verdict in ("done", "retry", "bury"):
            seen.of_workers(queue, verdict, always(7))


def test_nothing_fires_while_a_backlog_is_worked_off(seen: Seen) -> None:
    assert seen.alerts() == {}


def test_nothing_fires_of_a_backlog_of_days_that_is_worked_off(seen: Seen) -> None:
    for queue in QUEUES:
        seen.of_api("penstock_queue_oldest_seconds", growing(3600, start=2 * 24 * HOUR), queue=queue)
    assert seen.alerts() == {}


def test_nothing_fires_while_there_is_nothing_to_do(seen: Seen) -> None:
    idle(seen)
    assert seen.alerts() == {}


def test_nothing_fires_where_the_workers_are_scaled_to_zero(seen: Seen) -> None:
    idle(seen)
    for queue in QUEUES:
        seen.without_workers(queue)
    assert seen.alerts() == {}


def test_nothing_fires_while_workers_start_from_zero(seen: Seen) -> None:
    idle(seen)
    for queue in QUEUES:
        seen.without_workers(queue, until=HOUR + 300)
        seen.of_api("penstock_queue_waiting", comes(always(50), HOUR), queue=queue)
        seen.of_workers(queue, "done", gone(growing(600, start=-600), 0, HOUR + 300))
    assert seen.alerts() == {}


def test_a_file_that_takes_an_hour_alone_is_no_alert(seen: Seen) -> None:
    idle(seen)
    seen.of_api("penstock_queue_in_flight", lambda now: float(now // HOUR == 1), queue=INGEST_QUEUE)
    seen.of_api("penstock_queue_oldest_seconds", lambda now: now % HOUR * (now // HOUR == 1), queue=INGEST_QUEUE)
    assert seen.alerts() == {}


def test_a_restart_of_the_api_is_no_alert(seen: Seen) -> None:
    for name in ("penstock_service_up", "penstock_queue_waiting", "penstock_queue_dead_letters"):
        seen.without(name, HOUR, HOUR + 180)
    assert seen.alerts() == {}


def test_no_api(seen: Seen) -> None:
    for name in {name for name, labels in seen.series if "api" in dict(labels)["instance"]}:
        seen.without(name, HOUR)
    assert seen.alerts() == {"PenstockNotSeen": {frozenset()}}


@pytest.mark.parametrize("service", ["database", "queue"])
def test_a_service_that_is_down(seen: Seen, service: str) -> None:
    seen.set("penstock_service_up", lambda now: float(now < HOUR), service=service, instance="api-2")
    assert seen.alerts() == {"PenstockServiceDown": of(service=service)}


def test_a_service_that_misses_one_look_is_no_alert(seen: Seen) -> None:
    seen.of_api("penstock_service_up", lambda now: float(not HOUR <= now < HOUR + 60), service="database")
    assert seen.alerts() == {}


@pytest.mark.parametrize("queue", QUEUES)
def test_no_worker_while_work_waits(seen: Seen, queue: str) -> None:
    seen.without_workers(queue, HOUR)
    assert seen.alerts(1.5) == {"PenstockWorkerAbsent": of(queue=queue)}


@pytest.mark.parametrize("queue", QUEUES)
def test_workers_that_hang_while_work_waits(seen: Seen, queue: str) -> None:
    for verdict, per_hour in (("done", 1000), ("retry", 10), ("bury", 1)):
        seen.of_workers(queue, verdict, stops(growing(per_hour), HOUR))
    seen.of_api("penstock_queue_oldest_seconds", growing(3600), queue=queue)
    assert seen.alerts(1.8) == {"PenstockNoProgress": of(queue=queue)}
    assert seen.alerts(3) == {"PenstockNoProgress": of(queue=queue), "PenstockOldestWaitsTooLong": of(queue=queue)}


def test_workers_that_try_again_and_again(seen: Seen) -> None:
    """As while the object store is away: attempts end, and nothing is finished."""
    seen.of_workers(INGEST_QUEUE, "done", stops(growing(1000), HOUR))
    seen.of_workers(INGEST_QUEUE, "bury", always(2))
    seen.of_workers(INGEST_QUEUE, "retry", growing(5000))
    assert seen.alerts() == {"PenstockNoProgress": of(queue=INGEST_QUEUE)}


def test_a_message_that_is_stuck_in_a_hand_while_nothing_else_waits(seen: Seen) -> None:
    idle(seen)
    seen.of_api("penstock_queue_in_flight", always(1), queue=EMBEDDING_QUEUE)
    seen.of_api("penstock_queue_oldest_seconds", growing(3600), queue=EMBEDDING_QUEUE)
    assert seen.alerts() == {"PenstockOldestWaitsTooLong": of(queue=EMBEDDING_QUEUE)}


def test_files_that_fail_fast(seen: Seen) -> None:
    seen.of_workers(INGEST_QUEUE, "bury", comes(growing(900), HOUR))
    assert seen.alerts() == {"PenstockFilesFail": of(queue=INGEST_QUEUE)}


def test_a_few_files_that_fail_among_nothing_else_are_no_alert(seen: Seen) -> None:
    idle(seen)
    few = comes(lambda now: min(10.0, now // 30), HOUR)
    seen.attempts(INGEST_QUEUE, "bury", few, instance="ingest-queue-1")
    assert seen.alerts() == {}


def test_dead_letters_that_become_more(seen: Seen) -> None:
    seen.of_api("penstock_queue_dead_letters", comes(growing(30, start=0), 0), queue=EMBEDDING_QUEUE)
    assert seen.alerts() == {"PenstockDeadLettersGrow": of(queue=EMBEDDING_QUEUE)}


def test_dead_letters_that_are_dropped_or_come_one_by_one_are_no_alert(seen: Seen) -> None:
    seen.of_api("penstock_queue_dead_letters", growing(-30, start=200), queue=INGEST_QUEUE)
    seen.of_api("penstock_queue_dead_letters", growing(5, start=200), queue=EMBEDDING_QUEUE)
    assert seen.alerts() == {}
