"""The CloudFormation template: clean by cfn-lint, created on a local AWS, its function called, and true to the code.

The local AWS (moto, over real HTTP) makes no bucket policies and notifications, secrets, scaling policies and alarms
from templates, and starts no tasks: of those, what cfn-lint and the services' own interfaces say of their parameters.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
import httpx
import pytest
from cfnlint.decode import cfn_yaml  # pyright: ignore[reportMissingTypeStubs]
from manifests import DRAIN, MARGIN_SECONDS, ROOT, api_paths, commands, settings_of, worker_paths
from real_servers import free_port, wait_until
from test_image import image_environment

from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, QUEUES, QueueDepth
from penstock.objects import UPLOADS
from penstock.pipeline.mirror import Watched
from penstock.queues.bucket_events import read_events
from penstock.queues.sqs_address import inbox_address
from penstock.scaling import EMBEDDERS, INGESTERS, ScalingRule

TEMPLATE = ROOT / "deploy" / "aws" / "penstock.yaml"
ROLES = {"api": "ApiTask", "ingester": "IngesterTask", "embedder": "EmbedderTask"}
TARGET_SECONDS = 300
"""On ECS, by docs/scaling.md."""
STACK = "acme"
GRACE_OF_FARGATE = 120
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-central-1"}


def plain(node: Any) -> Any:
    """What cfn-lint read, without its line numbers."""
    if isinstance(node, Mapping):
        return {str(name): plain(value) for name, value in cast("Mapping[Any, Any]", node).items()}
    if isinstance(node, list):
        return [plain(one) for one in cast("list[Any]", node)]
    return node if isinstance(node, bool | int | float) else str(node)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return plain(cfn_yaml.load(str(TEMPLATE)))  # pyright: ignore[reportUnknownMemberType]


def resource(template: dict[str, Any], name: str) -> dict[str, Any]:
    return template["Resources"][name]["Properties"]


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == kind}


def container(template: dict[str, Any], role: str) -> dict[str, Any]:
    (only,) = resource(template, ROLES[role])["ContainerDefinitions"]
    return only


def filled(value: Any) -> str:
    """As CloudFormation fills it in."""
    if isinstance(value, str):
        return value
    known = {
        "AWS::Region": "eu-central-1",
        "Prefix": "acme",
        "Bucket": "acme-objects",
        "Address": "database.example.org",
        "Port": "5432",
    }
    if "Ref" in value:
        return known[value["Ref"]]
    text = value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0]
    return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], text)


def environment(template: dict[str, Any], role: str) -> dict[str, str]:
    given = {one["Name"]: filled(one["Value"]) for one in container(template, role)["Environment"]}
    return image_environment() | given


# -- read


@pytest.mark.slow
def test_cfn_lint_finds_nothing() -> None:
    command = [Path(sys.executable).with_name("cfn-lint"), "--include-checks", "I", "--", TEMPLATE]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout.strip()) == (0, ""), shown.stdout + shown.stderr


@pytest.mark.parametrize("role", ROLES)
def test_a_task_runs_a_role_with_settings_and_nothing_more(template: dict[str, Any], role: str) -> None:
    one = container(template, role)
    assert one["Command"] == [role]
    assert role in commands()
    variables = environment(template, role)
    settings = settings_of(variables)
    assert settings.queue.url.get_secret_value() == "sqs://eu-central-1/acme"
    assert settings.object_store.url == "s3://acme-objects"
    assert settings.database.url.get_secret_value().endswith("@database.example.org:5432/penstock?sslmode=require")
    assert [secret["Name"] for secret in one["Secrets"]] == ["PGPASSWORD"]
    assert one["ReadonlyRootFilesystem"] is True
    assert one["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert one["User"] == "10001:10001"
    assert float(variables[DRAIN]) + MARGIN_SECONDS <= one["StopTimeout"] <= GRACE_OF_FARGATE
    assert one["MountPoints"] == [{"SourceVolume": "tmp", "ContainerPath": "/tmp", "ReadOnly": False}]
    assert one["HealthCheck"]["Command"][-1] == "/opt/healthy.py"


def test_the_balancer_asks_the_api_where_it_answers(template: dict[str, Any]) -> None:
    settings = settings_of({**environment(template, "api"), "PENSTOCK_QUEUE_URL": "redis://example"})
    assert resource(template, "Targets")["Port"] == settings.api.port
    assert container(template, "api")["PortMappings"] == [{"ContainerPort": settings.api.port}]
    assert resource(template, "Targets")["HealthCheckPath"] in api_paths() & worker_paths()
    assert resource(template, "ApiGroup")["SecurityGroupIngress"][0]["ToPort"] == settings.api.port


def test_the_queues_have_the_names_that_penstock_looks_for(template: dict[str, Any]) -> None:
    names = {filled(one["QueueName"]): one for one in of_type(template, "AWS::SQS::Queue").values()}
    wanted = {f"acme-{queue}{suffix}" for queue in QUEUES for suffix in ("", "-dead-letters")}
    assert set(names) == wanted | {"acme-inbox", "acme-inbox-dead-letters"}
    for queue in QUEUES:  # well beyond Penstock's own three attempts, which leave a reason
        assert names[f"acme-{queue}"]["RedrivePolicy"]["maxReceiveCount"] > settings_of({}).queue.max_attempts


def test_nothing_may_more_than_it_must(template: dict[str, Any]) -> None:
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                assert not any("*" in action for action in actions), name
                anything = statement["Resource"] == "*"
                assert not anything or set(actions) <= {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}, name
    for name, group in of_type(template, "AWS::EC2::SecurityGroup").items():
        for ingress in group.get("SecurityGroupIngress", []):
            assert "0.0.0.0/0" not in str(ingress), name


@pytest.mark.parametrize(
    ("workers", "worker", "queue", "rule"),
    [("Ingesters", "Ingester", INGEST_QUEUE, INGESTERS), ("Embedders", "Embedder", EMBEDDING_QUEUE, EMBEDDERS)],
)
def test_tasks_follow_the_backlog_by_the_rule_that_was_proved(
    template: dict[str, Any], workers: str, worker: str, queue: str, rule: ScalingRule
) -> None:
    parameters = template["Parameters"]
    assert float(parameters[f"{worker}BacklogPerTask"]["Default"]) == TARGET_SECONDS / rule.service_seconds
    assert int(parameters[f"{workers}AtMost"]["Default"]) == rule.most
    target = resource(template, workers)
    assert target["MaxCapacity"] == {"Ref": f"{workers}AtMost"}
    assert f"{worker}Service" in str(target["ResourceId"])
    policy = resource(template, f"{workers}FollowTheBacklog")["TargetTrackingScalingPolicyConfiguration"]
    assert policy["TargetValue"] == {"Ref": f"{worker}BacklogPerTask"}
    assert policy["ScaleInCooldown"] == rule.cooldown_seconds
    assert {"Name": "Queue", "Value": queue} in policy["CustomizedMetricSpecification"]["Dimensions"]
    alarm = resource(template, f"{workers}AreMissing")
    assert {"Name": "Queue", "Value": queue} in alarm["Dimensions"]
    assert alarm["AlarmActions"] == [{"Ref": f"{workers}Wake"}]
    (step,) = resource(template, f"{workers}Wake")["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert step == {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    assert "DesiredCount" not in resource(template, f"{worker}Service")  # an update would set it back


# -- on a local AWS


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The URL of an AWS of this module alone."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_until(lambda: _answers(url), what="the local AWS")
        yield url
        server.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def client(service: str, url: str) -> Any:
    given = {name.lower(): value for name, value in CREDENTIALS.items() if "KEY" in name}
    make = cast("Any", boto3).client  # its interface is made at run time
    return make(service, endpoint_url=url, region_name="eu-central-1", **given)


@pytest.fixture(scope="module")
def stack(aws: str, template: dict[str, Any]) -> dict[str, str]:
    """The template, created; its outputs."""
    subnets = client("ec2", aws).describe_subnets()["Subnets"][:2]
    parameters = {
        "Image": "example.org/penstock:0.1.0",
        "Vpc": subnets[0]["VpcId"],
        "Subnets": ",".join(subnet["SubnetId"] for subnet in subnets),
        "Clients": "10.0.0.0/8",
        "Prefix": "acme",
        "WorkersAtLeast": "0",
    }
    formation = client("cloudformation", aws)
    formation.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(template),  # in YAML moto takes !GetAtt A.B.C apart at each dot
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (made,) = formation.describe_stacks(StackName=STACK)["Stacks"]
    assert made["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}


@pytest.mark.slow
def test_the_stack_has_queues_with_redrive(aws: str, stack: dict[str, str]) -> None:
    assert stack["Bucket"] == "acme-objects-123456789012"
    sqs = client("sqs", aws)
    for queue in ("acme-ingest-queue", "acme-embedding-queue", "acme-inbox"):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(f":{queue}-dead-letters")
        assert int(attributes["MessageRetentionPeriod"]) == 14 * 86_400


@pytest.mark.slow
def test_what_happens_in_the_bucket_is_told_to_the_api(
    aws: str, stack: dict[str, str], template: dict[str, Any]
) -> None:
    """The template's notification, by S3's own interface."""
    s3, sqs = client("s3", aws), client("sqs", aws)
    url = sqs.get_queue_url(QueueName="acme-inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    asked = resource(template, "Bucket")["NotificationConfiguration"]["QueueConfigurations"]
    assert {str(one["Queue"]) for one in asked} == {str({"Fn::GetAtt": ["InboxQueue", "Arn"]})}
    rules = [
        {"QueueArn": arn, "Events": [one["Event"]], "Filter": {"Key": {"FilterRules": one["Filter"]["S3Key"]["Rules"]}}}
        for one in asked
    ]
    s3.put_bucket_notification_configuration(
        Bucket=stack["Bucket"], NotificationConfiguration={"QueueConfigurations": rules}
    )
    watched = Watched.of(
        settings_of({**environment(template, "api"), "PENSTOCK_OBJECT_STORE_URL": f"s3://{stack['Bucket']}"})
    )
    s3.put_object(Bucket=stack["Bucket"], Key="files/of our own", Body=b"no news")
    for key in (f"{watched.prefix}annual report.pdf", f"{UPLOADS}by-url"):
        s3.put_object(Bucket=stack["Bucket"], Key=key, Body=b"%PDF")
    s3.delete_object(Bucket=stack["Bucket"], Key=f"{watched.prefix}annual report.pdf")
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    told = [event for one in received for event in read_events(one["Body"])]
    assert {(watched.key_of(event), event.removed) for event in told} == {
        ("inbox/annual report.pdf", False),
        ("uploads/by-url", False),
        ("inbox/annual report.pdf", True),
    }


def test_the_api_follows_the_queue_of_the_bucket_and_nobody_else(template: dict[str, Any]) -> None:
    followed = {role: environment(template, role).get("PENSTOCK_BUCKET_EVENTS_URL") for role in ROLES}
    assert followed == {"api": "sqs://eu-central-1/acme-inbox", "ingester": None, "embedder": None}
    assert followed["api"] is not None
    assert inbox_address(followed["api"])[1] == filled(resource(template, "InboxQueue")["QueueName"])
    (policy,) = resource(template, "TaskRole")["Policies"]
    allowed = [
        action
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == {"Fn::GetAtt": ["InboxQueue", "Arn"]}
        for action in statement["Action"]
    ]
    used = ("GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
    assert set(allowed) == {f"sqs:{action}" for action in used}


@pytest.mark.slow
@pytest.mark.usefixtures("stack")
def test_the_stack_has_a_service_for_each_role_and_a_database(aws: str) -> None:
    ecs = client("ecs", aws)
    (cluster,) = ecs.list_clusters()["clusterArns"]
    services = ecs.describe_services(cluster=cluster, services=[f"{STACK}-{role}" for role in ROLES])["services"]
    assert {one["serviceName"] for one in services} == {f"{STACK}-{role}" for role in ROLES}
    for one in services:
        task = ecs.describe_task_definition(taskDefinition=one["taskDefinition"])["taskDefinition"]
        (run,) = task["containerDefinitions"]
        assert run["command"] == [one["serviceName"].removeprefix(f"{STACK}-")]
        given = {pair["name"]: pair["value"] for pair in run["environment"]}
        assert given["PENSTOCK_QUEUE_URL"] == "sqs://eu-central-1/acme"
        assert "rds.amazonaws.com:5432/penstock" in given["PENSTOCK_DATABASE_URL"]
    (database,) = client("rds", aws).describe_db_instances()["DBInstances"]
    assert (database["Engine"], database["StorageEncrypted"], database["PubliclyAccessible"]) == (
        "postgres",
        True,
        False,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(("workers", "worker"), [("Ingesters", "Ingester"), ("Embedders", "Embedder")])
def test_auto_scaling_takes_the_policies(aws: str, template: dict[str, Any], workers: str, worker: str) -> None:
    """By its own interface, as moto makes none from templates."""
    scaling, ecs = client("application-autoscaling", aws), client("ecs", aws)
    cluster = ecs.list_clusters()["clusterArns"][0].rpartition("/")[2]
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{cluster}/{STACK}-{worker.lower()}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    most = int(template["Parameters"][f"{workers}AtMost"]["Default"])
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=most)
    for name in (f"{workers}FollowTheBacklog", f"{workers}Wake"):
        policy = dict(resource(template, name))
        del policy["ScalingTargetId"]
        for kind in ("TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration"):
            if kind in policy:
                policy[kind] = _with_values(policy[kind], template)
        scaling.put_scaling_policy(**target, **policy)
    made = scaling.describe_scaling_policies(ServiceNamespace="ecs", ResourceId=target["ResourceId"])
    assert {one["PolicyType"] for one in made["ScalingPolicies"]} == {"TargetTrackingScaling", "StepScaling"}


def _with_values(node: Any, template: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        found = cast("dict[str, Any]", node)
        if set(found) == {"Ref"}:
            return STACK if found["Ref"] == "AWS::StackName" else float(template["Parameters"][found["Ref"]]["Default"])
        return {name: _with_values(value, template) for name, value in found.items()}
    if isinstance(node, list):
        return [_with_values(one, template) for one in cast("list[Any]", node)]
    return node


# -- the function


class CoreApi(ThreadingHTTPServer):
    """The route of the Core API that the function calls, by its contract."""

    depths: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Calls)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Calls(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.path == "/queues"
        self._answer(200, cast("CoreApi", self.server).depths)

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the base class)
        """Tests are quiet."""


@pytest.fixture
def api() -> Iterator[CoreApi]:
    with CoreApi() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def called(template: dict[str, Any], function: str, event: object, **variables: str) -> Any:
    """What the function of the template returns, run as a program of its own."""
    source = resource(template, function)["Code"]["ZipFile"]
    assert len(source) <= 4096  # what fits into a template
    program = f"{source}\n\nimport sys\nprint(json.dumps(handler(json.load(sys.stdin), None)))\n"
    given = {**CREDENTIALS, **variables, "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(event), capture_output=True, text=True, check=True, env=given
    )
    return json.loads(ended.stdout.splitlines()[-1])


def depth(waiting: int, in_flight: int) -> dict[str, Any]:
    return QueueDepth(waiting=waiting, in_flight=in_flight, dead_letters=0, oldest_seconds=None).model_dump()


@pytest.mark.slow
@pytest.mark.usefixtures("stack")
def test_the_backlog_is_published_for_each_task(aws: str, template: dict[str, Any], api: CoreApi) -> None:
    ecs = client("ecs", aws)
    (cluster,) = ecs.list_clusters()["clusterArns"]
    for role, count in (("ingester", 3), ("embedder", 0)):
        ecs.update_service(cluster=cluster, service=f"{STACK}-{role}", desiredCount=count)
    api.depths = {INGEST_QUEUE: depth(8990, 10), EMBEDDING_QUEUE: depth(7, 0)}  # pyright: ignore[reportAttributeAccessIssue]
    called(
        template,
        "BacklogFunction",
        {},
        QUEUES_URL=f"{api.url}/queues",
        STACK=STACK,
        CLUSTER=cluster,
        INGESTERS=f"{STACK}-ingester",
        EMBEDDERS=f"{STACK}-embedder",
        AWS_ENDPOINT_URL=aws,
    )
    watch = client("cloudwatch", aws)
    published: dict[tuple[str, str], float] = {}
    for metric in watch.list_metrics(Namespace="Penstock")["Metrics"]:
        named = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
        assert named["Stack"] == STACK
        (point,) = watch.get_metric_statistics(
            **metric, StartTime=0, EndTime=4_000_000_000, Period=60, Statistics=["Maximum"]
        )["Datapoints"]
        published[named["Queue"], metric["MetricName"]] = point["Maximum"]
    assert published == {
        (INGEST_QUEUE, "Backlog"): 9000,
        (INGEST_QUEUE, "BacklogPerTask"): 3000,
        (INGEST_QUEUE, "BacklogWithoutTasks"): 0,
        (EMBEDDING_QUEUE, "Backlog"): 7,
        (EMBEDDING_QUEUE, "BacklogPerTask"): 7,
        (EMBEDDING_QUEUE, "BacklogWithoutTasks"): 7,
    }
